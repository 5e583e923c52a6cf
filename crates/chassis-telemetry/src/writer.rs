//! Where finished log lines go: a buffer that a thread of its own empties.
//!
//! Whoever logs copies a line into memory and goes on. The thread takes all
//! lines that gathered and hands them to the stream in one piece, so that a
//! busy service makes a system call for many lines and a quiet one for each.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// How many bytes may wait. Beyond it whoever logs waits, too: no line is dropped.
const CAPACITY: usize = 4 * 1024 * 1024;

/// How long the thread lets lines gather. Waking it for each costs more than writing it does.
const LINGER: Duration = Duration::from_millis(2);

/// Takes lines; clones share the buffer.
#[derive(Clone)]
pub(super) struct LineWriter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    closed: bool,
}

/// Ends the thread when dropped, once everything is written.
pub(super) struct LineThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread that writes to this stream.
pub(super) fn start(stream: impl Write + Send + 'static) -> io::Result<(LineWriter, LineThread)> {
    let shared = Arc::new(Shared::default());
    let of_thread = Arc::clone(&shared);
    let thread = thread::Builder::new()
        .name("log-lines".to_owned())
        .spawn(move || of_thread.write_to(stream))?;
    let lines = LineThread {
        shared: Arc::clone(&shared),
        thread: Some(thread),
    };
    Ok((LineWriter(shared), lines))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        while state.waiting.len() > CAPACITY && !state.closed {
            state = wait(&self.emptied, state);
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn write_to(&self, mut stream: impl Write) {
        let mut lines = Vec::new();
        while self.take(&mut lines) {
            // The stream may be closed; there is nobody left to tell.
            let _ = stream.write_all(&lines).and_then(|()| stream.flush());
            lines.clear();
        }
    }

    /// Waits for lines and takes them all. `false` once there will be no more.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.closed {
            state = wait(&self.filled, state);
        }
        if !state.closed {
            drop(state);
            thread::sleep(LINGER);
            state = self.lock();
        }
        std::mem::swap(&mut state.waiting, lines);
        drop(state);
        self.emptied.notify_all();
        !lines.is_empty()
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

impl Drop for LineThread {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_one();
        self.shared.emptied.notify_all();
        if let Some(thread) = self.thread.take() {
            // It panics only when the stream does, and then the lines are lost either way.
            let _ = thread.join();
        }
    }
}

impl Write for &LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A stream that accepts nothing until it is let.
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
    fn every_line_is_written_in_order_before_the_end() {
        let (allow, may_write) = mpsc::channel();
        let (written, pieces) = mpsc::channel();
        let (writer, lines) = start(Slow { may_write, written }).unwrap();

        for number in 0..1000 {
            writeln!(&mut &writer, "{number}").unwrap();
        }
        for _ in 0..1000 {
            allow.send(()).unwrap();
        }
        drop(lines);

        let all: Vec<u8> = pieces.try_iter().flatten().collect();
        let expected: Vec<_> = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(all).unwrap(), expected.concat());
    }

    #[test]
    fn a_full_buffer_makes_the_writer_wait_and_loses_nothing() {
        let (allow, may_write) = mpsc::channel();
        let (written, pieces) = mpsc::channel();
        let (writer, lines) = start(Slow { may_write, written }).unwrap();
        let line = vec![b'x'; CAPACITY / 4];

        let logging = thread::spawn(move || {
            for _ in 0..20 {
                (&writer).write_all(&line).unwrap();
            }
        });
        for _ in 0..40 {
            // As many permits as there can be pieces; what is left over is never asked for.
            allow.send(()).unwrap();
        }
        logging.join().unwrap();
        drop(lines);

        let total: usize = pieces.try_iter().map(|piece| piece.len()).sum();
        assert_eq!(total, 20 * (CAPACITY / 4));
    }
}
