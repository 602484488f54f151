// A gRPC client in Node that finds its service by xds:///. GRPC_XDS_BOOTSTRAP names the file that
// `etcdnaming xds-bootstrap` has written.
//
//   npm install && node client.js xds:///foo/bar/svc 1000
//
// It calls every so many milliseconds, and prints a line of JSON for each call.
const fs = require('fs');
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register(); // makes xds:/// known
const [target, interval, ...rest] = process.argv.slice(2);
const option = (name) => (rest.includes(name) ? rest[rest.lastIndexOf(name) + 1] : undefined);
const deadline = Number(option('-deadline') || 20) * 1000;
const calls = Number(option('-calls') || 0);
const ca = option('-ca');
const creds = ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure();
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
say({ ev: 'start', t: Date.now() });
const client = new grpc.Client(target, creds, ca ? { 'grpc.ssl_target_name_override': 'svc.test', 'grpc.default_authority': 'svc.test' } : {});
say({ ev: 'dialled', t: Date.now() });
const method = option('-method') || '/example.Greeter/Hello';
let n = 0;
function call() {
  const t = Date.now(), from = process.hrtime.bigint();
  const metadata = new grpc.Metadata({ waitForReady: rest.includes('-wfr') });
  client.makeUnaryRequest(method, (b) => b, (b) => b, Buffer.from(option('-body') || 'world'), metadata, { deadline: t + deadline }, (err, answer) => {
    const line = { t, d: Number(process.hrtime.bigint() - from) / 1e6 };
    if (err) line.e = `${grpc.status[err.code]}: ${err.details}`; else line.p = answer.toString();
    say(line);
    if (calls && ++n >= calls) process.exit(0);
    setTimeout(call, Number(interval));
  });
}
call();
