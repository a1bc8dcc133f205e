//! Compressed batches, made by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::EventsAnswer;
use reqwest::Method;
use tests::{Lab, Wire, kinds};

#[tokio::test]
async fn compressed_batches_are_accepted_and_bombs_are_not() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let encoded = async |encoding: &str, bytes: Vec<u8>| {
        let request = device
            .request(Method::POST, "/events")
            .header("content-type", "application/json")
            .header("content-encoding", encoding);
        Wire::send(request.body(bytes)).await
    };
    let plain = |n| device.batch(1, n, &[kinds::heartbeat("a")]).to_string();
    let answer = encoded("gzip", gzip(plain(1).as_bytes())).await;
    assert_eq!(answer.json::<EventsAnswer>().acked, 1);
    let answer = encoded("zstd", zstd(plain(2).as_bytes())).await;
    assert_eq!(answer.json::<EventsAnswer>().acked, 2);
    // 400 bytes that would become 13 MB.
    let answer = encoded("zstd", zstd_bomb(100)).await;
    assert!(
        answer.status == 413 || answer.status == 422,
        "{}",
        answer.text()
    );
    let answer = encoded("gzip", b"no gzip at all".to_vec()).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    let answer = encoded("br", plain(3).into_bytes()).await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.problem().kind, "/problems/415");
}

/// gzip without compressing: one stored block.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(bytes);
    out.extend((!crc).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

/// zstd without compressing: one raw block, window of 128 KiB.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let header = 1 | (u32::try_from(bytes.len()).unwrap() << 3);
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    out.extend(&header.to_le_bytes()[..3]);
    out.extend(bytes);
    out
}

/// So many blocks of 128 KiB of one letter, four bytes each.
fn zstd_bomb(blocks: u32) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    for n in 1..=blocks {
        let header = u32::from(n == blocks) | (1 << 1) | ((128 * 1024) << 3);
        out.extend(&header.to_le_bytes()[..3]);
        out.push(b' ');
    }
    out
}
