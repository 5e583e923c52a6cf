//! What one log line costs, next to the libraries that could format and write it:
//! `cargo bench -p chassis-telemetry`, or with `-- --threads 4`.
//!
//! Each row writes the same lines inside the same span to a file: first with our layer and our thread, then with
//! `tracing-subscriber`'s JSON layer, then with `tracing-appender`'s non-blocking writer. Wall time is what a thread that
//! logs waits for; processor time is that of the whole process, the writing thread included. Rounds are taken in
//! turns and the least of each is printed.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on should stop, and asks the machine for the time"
)]

use std::{
    fs::{File, OpenOptions},
    io,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use chassis_telemetry::{Build, LogFormat, Program, TelemetryOptions, writer_thread};
use time::OffsetDateTime;
use tracing::{Dispatch, dispatcher::with_default};
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

const LINES: u32 = 50_000;
const ROUNDS: usize = 5;

const PROGRAM: Program = Program {
    build: Build {
        name: "bench",
        version: "0",
        revision: "unknown",
    },
    span_crates: &[],
};

fn main() {
    let threads = std::env::args()
        .skip_while(|argument| argument != "--threads")
        .nth(1)
        .map_or(2, |threads| threads.parse().unwrap());
    println!("{LINES} lines by {threads} threads, least of {ROUNDS} rounds");
    for (title, variants) in [
        ("formatting (lines are thrown away)", &FORMATTING[..]),
        ("writing (the same lines to a file)", &WRITING[..]),
    ] {
        let mut least = vec![(Duration::MAX, Duration::MAX); variants.len()];
        for _ in 0..ROUNDS {
            for ((_, run), least) in variants.iter().zip(&mut least) {
                let (wall, processor) = run(threads);
                *least = (least.0.min(wall), least.1.min(processor));
            }
        }
        println!("\n{title:<40} wall ns/line   ratio   cpu ns/line   ratio");
        for ((name, _), (wall, processor)) in variants.iter().zip(&least) {
            println!(
                "{name:<40} {:>12.0} {:>7.2} {:>13.0} {:>7.2}",
                per_line(*wall, threads),
                wall.as_secs_f64() / least[0].0.as_secs_f64(),
                per_line(*processor, threads),
                processor.as_secs_f64() / least[0].1.as_secs_f64(),
            );
        }
    }
}

fn per_line(time: Duration, threads: u32) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(LINES * threads)
}

type Run = fn(u32) -> (Duration, Duration);

const FORMATTING: [(&str, Run); 2] = [
    ("ours", |threads| measure(threads, || ((), ours(io::sink)))),
    ("tracing-subscriber's JSON", |threads| {
        measure(threads, || ((), json(io::sink)))
    }),
];

const WRITING: [(&str, Run); 3] = [
    ("our thread", |threads| {
        measure(threads, || {
            let (writer, guard) = writer_thread(file()).unwrap();
            (guard, ours(writer))
        })
    }),
    ("tracing-appender, not lossy", |threads| {
        measure(threads, || {
            let builder = tracing_appender::non_blocking::NonBlockingBuilder::default();
            let (writer, guard) = builder.lossy(false).finish(io::BufWriter::new(file()));
            (guard, ours(writer))
        })
    }),
    ("a mutex around the file", |threads| {
        measure(threads, || ((), ours(Mutex::new(file()))))
    }),
];

fn ours<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(writer: W) -> Dispatch {
    let options = TelemetryOptions::new("bench");
    let now = OffsetDateTime::now_utc;
    let parts =
        chassis_telemetry::subscriber(PROGRAM, &options, now, LogFormat::Json, writer).unwrap();
    Dispatch::new(parts.0)
}

fn json<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(writer: W) -> Dispatch {
    let layer = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(writer);
    Dispatch::new(tracing_subscriber::registry().with(layer))
}

fn file() -> File {
    let path = std::env::temp_dir().join(format!("log-lines-{}", std::process::id()));
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// Wall time of the threads that log, and processor time until everything is written.
fn measure<G>(threads: u32, start: impl FnOnce() -> (G, Dispatch)) -> (Duration, Duration) {
    let processor = processor_time();
    let (guard, dispatch) = start();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            let dispatch = dispatch.clone();
            scope.spawn(move || with_default(&dispatch, log));
        }
    });
    let wall = started.elapsed();
    drop(dispatch);
    drop(guard);
    (wall, processor_time().saturating_sub(processor))
}

/// Requests of two lines each.
fn log() {
    for number in 0..LINES / 2 {
        let span = tracing::info_span!(
            "request",
            correlation_id = "0d03d665-841b-46fc-b0f3-2e9fb6cc3c4f",
            http.request.method = "GET",
            http.route = "/notes/{id}",
            user.id = tracing::field::Empty,
        );
        let _entered = span.enter();
        tracing::warn!(number, error = "connection refused", "retried");
        tracing::info!(status_code = 200, duration_ms = 0.71, "request_completed");
    }
}

/// User and system time of this process so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    // A tick is 10 ms on every Linux that Rust supports.
    Duration::from_millis(ticks * 10)
}
