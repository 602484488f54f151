//! A gRPC client in Rust that finds its service by xds:///. GRPC_XDS_BOOTSTRAP names the file that
//! `etcdnaming xds-bootstrap --for rust` has written.
//!
//!     cargo run -- xds:///foo/bar/svc 1000
//!
//! It calls every so many milliseconds, and prints a line of JSON for each call.
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use serde_json::json;
use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status};
use tonic_xds::{XdsChannelBuilder, XdsChannelConfig, XdsUri};

/// Messages are bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

fn ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: &str| {
        let at = args.iter().rposition(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)).map_or(default.to_owned(), String::clone)
    };
    let interval = Duration::from_millis(args[2].parse()?);
    let deadline = Duration::from_secs_f64(option("-deadline", "20").parse()?);
    let calls: u64 = option("-calls", "0").parse()?;
    let path: PathAndQuery = option("-method", "/example.Greeter/Hello").parse()?;
    let body = Bytes::from(option("-body", "world"));

    println!("{}", json!({"ev": "start", "t": ms()}));
    let target = XdsChannelConfig::new(XdsUri::parse(&args[1])?);
    let channel = XdsChannelBuilder::new(target).build_grpc_channel()?;
    let mut stub = tonic::client::Grpc::new(channel);
    println!("{}", json!({"ev": "dialled", "t": ms()}));
    let mut n = 0;
    while calls == 0 || n < calls {
        n += 1;
        let (at, from) = (ms(), Instant::now());
        let call = async {
            let ready = stub.ready().await;
            ready.map_err(|error| Status::unknown(format!("not ready: {error:?}")))?;
            stub.unary(Request::new(body.clone()), path.clone(), Raw).await
        };
        let result = tokio::time::timeout(deadline, call).await;
        let mut line = json!({"t": at, "d": from.elapsed().as_secs_f64() * 1000.0});
        match result {
            Ok(Ok(answer)) => line["p"] = String::from_utf8_lossy(answer.get_ref()).into(),
            Ok(Err(status)) => {
                line["e"] = format!("{:?}: {}", status.code(), status.message()).into()
            }
            Err(_) => line["e"] = "DeadlineExceeded: the client's own".into(),
        }
        println!("{line}");
        tokio::time::sleep(interval).await;
    }
    Ok(())
}
