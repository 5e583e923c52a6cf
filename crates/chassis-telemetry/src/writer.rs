//! The thread that writes log lines, and the buffer it empties.
//!
//! A thread that logs appends its line to one buffer in memory and goes on. The writer thread takes everything that
//! has gathered and hands it to the stream in one piece: one system call for many lines in a busy service, one for each
//! line in a quiet one. It lets lines gather for [`LINGER`] before it takes them, because waking it for each line costs
//! the thread that logs more than the line itself.
//!
//! **A stream that is slow.** The buffer is bounded. When it is full, a thread that logs waits for at most [`STALL`].
//! If nothing was taken in that time, the stream counts as stalled: its line is dropped, and so are all further ones,
//! at once, until the writer thread takes the buffer again. A reader that stopped reading therefore costs the service
//! lines and one short pause, not its requests.
//!
//! **A stream that fails** (full disk, closed pipe). What could not be written is dropped. A line of which only a part
//! was written is ended by a line break before the next one, so that one line is damaged and not two.
//!
//! **What is said.** Dropped lines are counted. As soon as the stream takes lines again, `log_lines_dropped` says how
//! many are missing. When a write fails, standard error is told once, until a write succeeds.
//!
//! **At the end.** Dropping [`WriterThread`] waits until every line is written, for as long as the stream takes
//! anything; it gives up after [`LAST_WAIT`] without progress.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use time::OffsetDateTime;
use tracing_subscriber::fmt::MakeWriter;

use super::logs::failure_line;

/// How many bytes may wait to be written.
const CAPACITY: usize = 4 * 1024 * 1024;

/// How long the writer thread lets lines gather.
const LINGER: Duration = Duration::from_millis(2);

/// How long a thread that logs waits for a full buffer, once.
const STALL: Duration = Duration::from_millis(100);

/// How long the end of the process waits for a stream that takes nothing.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The pause before the next attempt on a stream that does not block and is full.
const RETRY: Duration = Duration::from_millis(5);

/// Takes lines, each with one call of `write_all`; clones share the buffer.
#[derive(Debug, Clone)]
pub struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when the buffer is no longer empty.
    filled: Condvar,
    /// Notified when the buffer was taken.
    emptied: Condvar,
    /// Notified when the stream took something, and when the thread ended.
    progressed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// No line follows: the thread ends when everything is written.
    closed: bool,
    /// Nothing was taken from a full buffer for [`STALL`]: lines are dropped at once.
    stalled: bool,
    /// Lines dropped since they were last reported.
    dropped: u64,
    /// How many times the stream took something.
    progress: u64,
    ended: bool,
}

/// Writes the lines that wait and ends the thread, when dropped.
///
/// Keep it until the last line was logged: lines that come later are never written.
#[derive(Debug)]
pub struct WriterThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a thread that writes lines to this stream, as [`super::Telemetry::start`] does for a standard stream.
///
/// It keeps the promises that this crate makes about slow and failing streams: 4 MiB of lines
/// may wait, and none is lost at the end unless the stream takes nothing for two seconds.
///
/// # Errors
///
/// When the thread cannot be started.
pub fn writer_thread(stream: impl Write + Send + 'static) -> io::Result<(LogWriter, WriterThread)> {
    start(stream, None)
}

/// The same for a service, by whose name it says that a stream fails.
pub(super) fn start(
    stream: impl Write + Send + 'static,
    service: Option<&'static str>,
) -> io::Result<(LogWriter, WriterThread)> {
    let shared = Arc::new(Shared::default());
    let of_thread = Arc::clone(&shared);
    let thread = thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || {
            of_thread.write_to(stream, service);
            of_thread.lock().ended = true;
            of_thread.progressed.notify_all();
        })?;
    let writer_thread = WriterThread {
        shared: Arc::clone(&shared),
        thread: Some(thread),
    };
    Ok((LogWriter(shared), writer_thread))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() > CAPACITY {
            state = self.wait_for_space(state);
            if state.waiting.len() > CAPACITY {
                state.stalled = true;
                state.dropped += 1;
                return;
            }
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn wait_for_space<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let is_full = |state: &mut State| state.waiting.len() > CAPACITY && !state.stalled;
        let waited = self.emptied.wait_timeout_while(state, STALL, is_full);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn write_to(&self, mut stream: impl Write, service: Option<&str>) {
        let mut lines = Vec::new();
        let mut failing = false;
        let mut partial = false;
        while self.take(&mut lines) {
            if partial {
                lines.insert(0, b'\n');
            }
            match self.write_lines(&mut stream, &lines) {
                Ok(()) => {
                    failing = false;
                    partial = false;
                    self.report();
                }
                Err((error, written)) => {
                    let rest = lines.get(written..).unwrap_or_default();
                    // The break that ends the partial line is no line of its own.
                    let added = u64::from(partial && written == 0);
                    self.lock().dropped += count_lines(rest) - added;
                    if let Some(last) = written.checked_sub(1) {
                        partial = lines.get(last) != Some(&b'\n');
                    }
                    if !failing {
                        tell(service, &error);
                    }
                    failing = true;
                }
            }
            lines.clear();
        }
    }

    /// Waits for lines and takes them all. `false` once everything is written and no line follows.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.closed {
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closed {
            drop(state);
            thread::sleep(LINGER);
            state = self.lock();
        }
        std::mem::swap(&mut state.waiting, lines);
        state.stalled = false;
        drop(state);
        self.emptied.notify_all();
        !lines.is_empty()
    }

    /// Writes everything. On failure, the error and how many bytes were written.
    fn write_lines(&self, stream: &mut impl Write, lines: &[u8]) -> Result<(), (io::Error, usize)> {
        let mut written = 0;
        while let Some(rest @ [_, ..]) = lines.get(written..) {
            match stream.write(rest) {
                Ok(0) => return Err((ErrorKind::WriteZero.into(), written)),
                Ok(length) => {
                    written += length;
                    self.lock().progress += 1;
                    self.progressed.notify_all();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A pipe that the process was given in non-blocking mode.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
                Err(error) => return Err((error, written)),
            }
        }
        loop {
            match stream.flush() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What it has taken may wait in a buffer of its own.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
                flushed => return flushed.map_err(|error| (error, written)),
            }
        }
    }

    /// Logs how many lines were dropped, if any, once there is room for that line.
    fn report(&self) {
        let mut state = self.lock();
        if state.dropped == 0 || state.waiting.len() > CAPACITY {
            return;
        }
        let lines = std::mem::take(&mut state.dropped);
        drop(state);
        tracing::warn!(lines, "log_lines_dropped");
    }
}

/// Says on standard error that lines are lost, in JSON where that is for machines to read.
#[expect(
    clippy::disallowed_methods,
    reason = "the time of a line that no test reads, where there is no clock"
)]
fn tell(service: Option<&str>, error: &io::Error) {
    let stderr = io::stderr();
    let said = if stderr.is_terminal() {
        format!("log lines cannot be written: {error}")
    } else {
        let now = OffsetDateTime::now_utc();
        let message = "log_lines_not_written";
        failure_line(
            env!("CARGO_CRATE_NAME"),
            service,
            now,
            message,
            &error.to_string(),
        )
    };
    // It may be closed, too.
    let _ = writeln!(stderr.lock(), "{said}");
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.filled.notify_one();
        let mut seen = (state.progress, Instant::now());
        while !state.ended && seen.1.elapsed() < LAST_WAIT {
            let waited = self.shared.progressed.wait_timeout(state, LAST_WAIT);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.progress != seen.0 {
                seen = (state.progress, Instant::now());
            }
        }
        let ended = state.ended;
        drop(state);
        if let Some(thread) = self.thread.take().filter(|_| ended) {
            // It panics only when the stream does, and then its lines are lost either way.
            let _ = thread.join();
        }
    }
}

impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A stream that takes nothing until it is permitted to.
    struct Slow {
        may_write: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may_write.recv().map_err(io::Error::other)?;
            self.written
                .send(bytes.to_vec())
                .map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn how_many_lines_are_missing_is_said_when_there_is_room_for_it() {
        let shared = Arc::new(Shared::default());
        let writer = LogWriter(Arc::clone(&shared));
        let subscriber = tracing_subscriber::fmt().json().with_writer(writer);
        shared.lock().waiting = vec![b'\n'; CAPACITY + 1];
        shared.lock().dropped = 990;

        tracing::subscriber::with_default(subscriber.finish(), || {
            shared.report();
            assert_eq!(shared.lock().dropped, 990);
            shared.lock().waiting.clear();
            shared.report();
        });

        let said = String::from_utf8(shared.lock().waiting.clone()).unwrap();
        assert!(
            said.contains("log_lines_dropped") && said.contains("990"),
            "{said}"
        );
        assert_eq!(shared.lock().dropped, 0);
    }

    #[test]
    fn every_line_is_written_in_order_before_the_end() {
        let (allow, may_write) = mpsc::channel();
        let (written, pieces) = mpsc::channel();
        let (writer, thread) = writer_thread(Slow { may_write, written }).unwrap();

        for number in 0..1000 {
            writeln!(&mut &writer, "{number}").unwrap();
        }
        for _ in 0..1000 {
            allow.send(()).unwrap();
        }
        drop(thread);

        let all: Vec<u8> = pieces.try_iter().flatten().collect();
        let expected: Vec<_> = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(all).unwrap(), expected.concat());
    }

    #[test]
    fn a_stream_that_is_merely_slow_loses_nothing() {
        let (allow, may_write) = mpsc::channel();
        let (written, pieces) = mpsc::channel();
        let (writer, thread) = writer_thread(Slow { may_write, written }).unwrap();
        let line = vec![b'x'; CAPACITY / 4];

        let logging = thread::spawn(move || {
            for _ in 0..20 {
                (&writer).write_all(&line).unwrap();
            }
        });
        // As many permits as there can be pieces; the rest is never asked for.
        for _ in 0..40 {
            allow.send(()).unwrap();
        }
        logging.join().unwrap();
        drop(thread);

        let total: usize = pieces.try_iter().map(|piece| piece.len()).sum();
        assert_eq!(total, 20 * (CAPACITY / 4));
    }

    #[test]
    fn a_stream_that_takes_nothing_costs_lines_and_not_the_one_who_logs() {
        let (allow, may_write) = mpsc::channel();
        let (written, pieces) = mpsc::channel();
        let (writer, thread) = writer_thread(Slow { may_write, written }).unwrap();
        let line = [&vec![b'x'; CAPACITY / 4][..], b"\n"].concat();

        let started = Instant::now();
        for _ in 0..1000 {
            (&writer).write_all(&line).unwrap();
        }
        // One pause for the first line that does not fit; 990 of them would take more than a minute.
        assert!(started.elapsed() < STALL * 20, "{:?}", started.elapsed());
        for _ in 0..40 {
            allow.send(()).unwrap();
        }
        let shared = Arc::clone(&thread.shared);
        drop(thread);

        let kept: u64 = pieces.try_iter().map(|piece| count_lines(&piece)).sum();
        assert!(kept < 20, "{kept} lines were kept");
        // Reported by an event, which here has no subscriber.
        assert_eq!(shared.lock().dropped, 0);
    }

    /// A disk that is full until there is space again.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (space, written) = &mut *self.0.lock().unwrap();
            let length = bytes.len().min(*space);
            if length == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            *space -= length;
            written.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_damages_one_line_and_counts_those_that_are_missing() {
        let shared = Shared::default();
        let mut disk = Disk::default();
        disk.0.lock().unwrap().0 = 7;

        let (error, written) = shared
            .write_lines(&mut disk, b"first\nsecond\nthird\n")
            .unwrap_err();

        assert_eq!((error.kind(), written), (ErrorKind::StorageFull, 7));
        assert_eq!(count_lines(b"econd\nthird\n"), 2);
    }

    #[test]
    fn after_a_full_disk_the_next_line_begins_on_a_line_of_its_own() {
        let disk = Disk::default();
        disk.0.lock().unwrap().0 = 3;
        let (writer, thread) = writer_thread(disk.clone()).unwrap();
        writeln!(&mut &writer, "first").unwrap();
        while disk.0.lock().unwrap().0 > 0 || thread.shared.lock().dropped == 0 {
            thread::yield_now();
        }
        writeln!(&mut &writer, "second").unwrap();
        while thread.shared.lock().dropped < 2 {
            thread::yield_now();
        }
        disk.0.lock().unwrap().0 = 100;

        writeln!(&mut &writer, "third").unwrap();
        drop(thread);

        assert_eq!(disk.0.lock().unwrap().1, b"fir\nthird\n");
    }
}
