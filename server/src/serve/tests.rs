use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// What a server that waits 300 ms sends to a client that says this and then nothing, and how long it kept it.
async fn told(said: &str) -> (String, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = axum_server::from_tcp(listener).unwrap();
    end_quiet_ones(server.http_builder(), Duration::from_millis(300));
    let router = Router::new().route("/", get(async || "here"));
    let served = tokio::spawn(server.serve(router.into_make_service()));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(said.as_bytes()).await.unwrap();
    let (started, mut answer) = (Instant::now(), String::new());
    client.read_to_string(&mut answer).await.unwrap();
    served.abort();
    (answer, started.elapsed())
}

#[tokio::test]
async fn a_connection_on_which_nobody_asks_is_ended_and_not_before_its_time() {
    let unused = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let half = "GET / HTTP/1.1\r\nhost: ";
    for (said, answered) in [(unused, true), (half, false)] {
        let (answer, kept) = told(said).await;
        assert_eq!(answer.ends_with("here"), answered, "{answer}");
        assert!(kept >= Duration::from_millis(290), "{kept:?}");
        assert!(kept < Duration::from_secs(20), "{kept:?}");
    }
}
