//! The HTTP server, embedded in a program that also calls it as a client.
//!
//! ```text
//! $ cargo run -p examples --example serve
//! POST / {"record": "aGVsbG8="} -> {"offset":0}
//! GET /?offset=0 -> {"record":"aGVsbG8="}
//! GET /?offset=1 -> 404
//! the program itself reads b"hello" at offset 0
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use proglog_log::{Log, LogOptions};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let log = Log::open(directory.path(), &LogOptions::new())?;

    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel();
    // A `Log` is a cheap handle: the server gets one, the program keeps one.
    let server = runtime.spawn(proglog_server::serve(
        listener,
        Arc::new(log.clone()),
        async { stopped.await.unwrap_or_default() },
    ));

    let called = call(address);
    // Shut down even if a call failed. Requests in flight are answered first.
    stop.send(()).map_err(|()| "the server is gone")?;
    runtime.block_on(server)?;
    called?;

    let record = log.read(0)?;
    assert_eq!(record.value, "hello");
    println!("the program itself reads {:?} at offset 0", record.value);
    log.close()?;
    Ok(())
}

fn call(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let url = format!("http://{address}/");
    let request = format!(r#"{{"record": "{}"}}"#, BASE64_STANDARD.encode("hello"));
    let mut answer = ureq::post(&url).send(&request)?;
    let answer = answer.body_mut().read_to_string()?;
    println!("POST / {request} -> {answer}");
    assert_eq!(answer, r#"{"offset":0}"#);

    let mut answer = ureq::get(format!("{url}?offset=0")).call()?;
    let answer = answer.body_mut().read_to_string()?;
    println!("GET /?offset=0 -> {answer}");
    assert_eq!(answer, r#"{"record":"aGVsbG8="}"#);

    match ureq::get(format!("{url}?offset=1")).call() {
        Err(ureq::Error::StatusCode(404)) => println!("GET /?offset=1 -> 404"),
        other => return Err(format!("there is no record 1, and yet: {other:?}").into()),
    }
    Ok(())
}
