//! A collector that keeps what it is sent, or takes connections and never answers.
//!
//! Held against Jaeger 2.13 (the module v1.76.0), whose receiver is that of the OpenTelemetry collector 0.140: the trace of a
//! sign-in has the same spans there (`jaeger.rs`).

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;

use super::support::eventually;

/// A running collector.
pub struct Collector {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

/// One export, as it came.
pub struct Received {
    /// The head, in lower case.
    pub head: String,
    body: Vec<u8>,
}

impl Collector {
    /// Answers every export with 200.
    pub fn start() -> Self {
        Self::with(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n",
        )
    }

    /// Takes exports and says nothing, ever.
    pub fn hanging() -> Self {
        Self::with("")
    }

    fn with(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                thread::spawn(move || receive(stream, answer, &kept));
            }
        });
        Self { port, received }
    }

    /// Its address, as `OTLP_ENDPOINT` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many exports came so far.
    pub fn exports(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// What the first export said around its spans, once there is one.
    #[track_caller]
    pub fn first_export(&self) -> (String, Resource) {
        eventually("an export", || (self.exports() > 0).then_some(()));
        let received = self.received.lock().unwrap();
        let mut decoded = received[0].decode();
        let resource = decoded.resource_spans.remove(0).resource.unwrap();
        (received[0].head.clone(), resource)
    }

    /// Every span that came so far.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let exports = received.iter().map(Received::decode);
        exports
            .flat_map(|export| export.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    /// Every span of this trace.
    pub fn trace(&self, trace_id: &str) -> Vec<Span> {
        let mut spans = self.spans();
        spans.retain(|span| hex(&span.trace_id) == trace_id);
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

impl Received {
    fn decode(&self) -> ExportTraceServiceRequest {
        let mut plain = Vec::new();
        if self.head.contains("content-encoding: gzip") {
            GzDecoder::new(self.body.as_slice())
                .read_to_end(&mut plain)
                .unwrap();
        } else {
            plain.clone_from(&self.body);
        }
        ExportTraceServiceRequest::decode(plain.as_slice()).unwrap()
    }
}

/// Reads requests off a connection until it ends.
fn receive(stream: TcpStream, answer: &str, kept: &Mutex<Vec<Received>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse().unwrap());
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        kept.lock().unwrap().push(Received { head, body });
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// An attribute as text, however it was typed.
pub fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::BoolValue(truth) => Some(truth.to_string()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        _ => None,
    }
}
