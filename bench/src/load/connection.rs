//! One HTTP/1.1 connection: a request goes out whole, its answer comes in whole.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer, while it lies in the connection's buffer.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Status.
    pub status: u16,
    /// `ETag`.
    pub etag: Option<&'a [u8]>,
    /// Body.
    pub body: &'a [u8],
}

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// Where a complete answer lies in the buffer.
struct Extent {
    status: u16,
    etag: Option<(usize, usize)>,
    head: usize,
    end: usize,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; 4096],
            filled: 0,
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is none.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.filled = 0;
        self.stream.write_all(request).await?;
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let n = self.stream.read(&mut self.buffer[self.filled..]).await?;
            if n == 0 {
                bail!("the connection was closed");
            }
            self.filled += n;
            if let Some(extent) = extent(&self.buffer[..self.filled])? {
                return Ok(Answer {
                    status: extent.status,
                    etag: extent.etag.map(|(from, to)| &self.buffer[from..to]),
                    body: &self.buffer[extent.head..extent.end],
                });
            }
        }
    }
}

/// Where the answer lies; none while it is not complete.
fn extent(bytes: &[u8]) -> anyhow::Result<Option<Extent>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    let status = response.code.context("an answer without a status")?;
    let (mut length, mut etag) = (0, None);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value)?.parse()?;
        } else if header.name.eq_ignore_ascii_case("etag") {
            let from = header.value.as_ptr().addr() - bytes.as_ptr().addr();
            etag = Some((from, from + header.value.len()));
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("an answer in chunks, which this client does not read");
        }
    }
    // A 304 tells the length of what it does not send.
    let end = if status == 304 { head } else { head + length };
    Ok((bytes.len() >= end).then_some(Extent {
        status,
        etag,
        head,
        end,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"1-2\"\r\n\r\nhello";
        assert!(extent(&whole[..whole.len() - 1]).unwrap().is_none());
        let extent = extent(whole).unwrap().unwrap();
        assert_eq!(extent.status, 200);
        assert_eq!(&whole[extent.head..extent.end], b"hello");
        let (from, to) = extent.etag.unwrap();
        assert_eq!(&whole[from..to], b"\"1-2\"");
    }

    #[test]
    fn an_unchanged_answer_has_no_body_whatever_length_it_tells() {
        let whole = b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n";
        let extent = extent(whole).unwrap().unwrap();
        assert_eq!(extent.head, extent.end);
    }
}
