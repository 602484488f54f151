// Dial, call and close clients, several at a time: churn.js TIMES TARGET=ANSWER ...
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const WORKERS = 8;
const [times, ...wanted] = process.argv.slice(2);
const found = {};

// Resolves to the answer of the target, or to the error.
function call(target) {
  const client = new grpc.Client(target, grpc.credentials.createInsecure());
  const same = (bytes) => bytes;
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + 10000 };
    client.makeUnaryRequest('/test.Service/Who', same, same, Buffer.alloc(0), options, (error, answer) => {
      client.close();
      resolve(error ? `${grpc.status[error.code]}: ${error.details}` : answer.toString());
    });
  });
}

async function churn() {
  for (let n = 0; n < times / WORKERS; n++) {
    const [target, expected] = wanted[Math.floor(Math.random() * wanted.length)].split('=');
    const answer = await call(target);
    const result = answer === expected ? 'good' : answer;
    found[result] = (found[result] || 0) + 1;
    if (Math.random() < 0.15) await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
  }
}

Promise.all(Array.from({ length: WORKERS }, churn)).then(() => {
  console.log(JSON.stringify({ found }));
  process.exit(0);
});
