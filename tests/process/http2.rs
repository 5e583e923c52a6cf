//! A client that speaks HTTP/2 frame by frame, and keeps to no manners unless the test does.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use super::support::connect;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

/// The flags `END_STREAM` and `END_HEADERS`.
pub const WHOLE: u8 = 0x5;

/// A frame as it was received.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
}

/// A connection.
pub struct Http2(pub TcpStream);

impl Http2 {
    /// Says hello, with room for so many bytes of each response.
    pub fn connect(port: u16, window: u32) -> Self {
        let mut client = Self(connect(port));
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        client.0.write_all(preface).unwrap();
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        client.send(SETTINGS, 0, 0, &settings).unwrap();
        client
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.0.write_all(&frame(kind, flags, stream, payload))
    }

    /// Asks for this path.
    pub fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, WHOLE, stream, &head(path)).unwrap();
    }

    /// Begins to post JSON to this path.
    pub fn post_json(&mut self, stream: u32, path: &str) {
        let mut head = head(path);
        // POST instead of GET, both of the static table.
        head[0] = 0x83;
        // A field that is indexed by its name, `content-type`, and has a literal value.
        head.extend(b"\x0f\x10\x10application/json");
        self.send(HEADERS, 0x4, stream, &head).unwrap();
    }

    /// The next frame of this kind; `None` when the connection ends before.
    pub fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some(Frame {
            kind: head[3],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        })
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a GET, of entries of the static table and literals.
pub fn head(path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    head.extend(path.as_bytes());
    head.extend(b"\x41\x01a");
    head
}
