//! Processes of the program, and the simplest client there is.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    ops::Deref,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::marks;

/// Signs tokens in these tests; long, random, and used nowhere else.
pub const SECRET: &str = "5d0c7a1be94f28c36a70d1f2b8e3945c6f7a0b1d2e3c4f5a69788796a5b4c3d2";

const PROGRAM: &str = env!("CARGO_BIN_EXE_warp-skeleton");

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a program that ends by itself may take: more, because it may start a server or stop one.
pub const PROGRAM_PATIENCE: Duration = Duration::from_mins(3);

/// A folder of the test's own that nobody else enters, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("warp-skeleton-{}", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays is no failure of the test.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An empty folder, for programs that would read settings in the one they are started in.
fn empty_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Waits until the condition holds.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The program with nothing of this machine's settings.
fn program(url: &str, settings: &[(&str, &str)]) -> Command {
    program_at(Path::new(PROGRAM), url, settings)
}

fn program_at(path: &Path, url: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(path);
    command.env_clear().current_dir(empty_folder());
    // Where programs are, and where one that is instrumented leaves what it counted (`scripts/coverage`).
    for name in ["PATH", "LLVM_PROFILE_FILE"] {
        #[expect(
            clippy::disallowed_methods,
            reason = "tests have settings of their own"
        )]
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let defaults = [
        ("APP_ENV", "test"),
        ("DATABASE_URL", url),
        ("JWT_SECRET_KEY", SECRET),
        ("PORT", "0"),
        ("SCRYPT_LOG_N", "1"),
        ("SCRYPT_P", "1"),
        ("RATE_LIMIT", "off"),
    ];
    for (name, value) in defaults.iter().chain(settings) {
        command.env(name, value);
    }
    command
}

/// Runs a command of the program to its end.
pub fn run(url: &str, settings: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
    let mut child = program(url, settings)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = thread::spawn(read_whole(child.stdout.take().unwrap()));
    let errors = thread::spawn(read_whole(child.stderr.take().unwrap()));
    let status = end_of(&mut child, &arguments.join(" "));
    Output {
        status,
        stdout: output.join().unwrap(),
        stderr: errors.join().unwrap(),
    }
}

fn read_whole(mut stream: impl Read + Send) -> impl FnOnce() -> Vec<u8> + Send {
    move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// Waits for the end of a program that ends by itself, and kills it when that takes too long.
#[track_caller]
pub fn end_of(child: &mut Child, what: &str) -> ExitStatus {
    let deadline = Instant::now() + PROGRAM_PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            panic!("never ended: {what}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What a command printed, when it succeeded.
#[track_caller]
pub fn printed(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command complained of, when it failed with status 1.
#[track_caller]
pub fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running `serve`.
pub struct Service {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
    port: OnceLock<u16>,
}

impl Service {
    /// Starts it and waits until it is ready.
    pub fn start(url: &str, settings: &[(&str, &str)]) -> Self {
        let service = Self::spawn(url, settings, &[]);
        service.await_line("ready");
        service
    }

    /// Starts it and waits for nothing.
    pub fn spawn(url: &str, settings: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = program(url, settings);
        command.arg("serve").args(arguments);
        Self::run(command)
    }

    // jobs: begin
    /// Starts a command of a program that is made like this one, and waits until it is ready.
    pub fn start_other(path: &Path, command: &str, url: &str, settings: &[(&str, &str)]) -> Self {
        let mut program = program_at(path, url, settings);
        program.arg(command);
        let service = Self::run(program);
        service.await_line("ready");
        service
    }
    // jobs: end

    /// Starts it with so many open files at most, and waits until it is ready.
    pub fn start_with_files(url: &str, settings: &[(&str, &str)], limit: u32) -> Self {
        let mut command = Command::new("sh");
        let program = program(url, settings);
        command.env_clear();
        for (name, value) in program.get_envs() {
            command.env(name, value.unwrap());
        }
        let script = format!("ulimit -n {limit} && exec \"$0\" serve");
        command.args(["-c", &script, PROGRAM]);
        command.current_dir(program.get_current_dir().unwrap());
        let service = Self::run(command);
        service.await_line("ready");
        service
    }

    fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            output: gather(child.stdout.take().unwrap()),
            errors: gather(child.stderr.take().unwrap()),
            child,
            port: OnceLock::new(),
        }
    }

    /// The first log line with this message, once it is there.
    #[track_caller]
    pub fn await_line(&self, message: &str) -> Value {
        eventually(message, || {
            let found = self
                .lines()
                .into_iter()
                .find(|line| line["message"] == message);
            assert!(
                found.is_some() || !self.has_failed(),
                "{:?} {:?}",
                self.lines(),
                self.errors()
            );
            found
        })
    }

    /// Why it did not start.
    #[track_caller]
    pub fn failure(&self) -> String {
        let lines = self.lines();
        let line = lines.iter().find(|line| line["message"] == "start_failed");
        line.unwrap()["error"].as_str().unwrap().to_owned()
    }

    fn has_failed(&self) -> bool {
        self.lines()
            .iter()
            .any(|line| line["message"] == "start_failed")
    }

    /// Every line of standard output so far: JSON objects, or the test fails.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.output.lock().unwrap().clone();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .inspect(assert_documented)
            .collect()
    }

    /// Every line of standard error so far.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    /// The port it listens on for this purpose.
    #[track_caller]
    pub fn port_for(&self, purpose: &str) -> u16 {
        self.await_line("listening");
        eventually("a port", || {
            let line = self
                .lines()
                .into_iter()
                .find(|line| line["purpose"] == purpose)?;
            line["address"].as_str()?.rsplit_once(':')?.1.parse().ok()
        })
    }

    /// The port it serves.
    pub fn port(&self) -> u16 {
        *self.port.get_or_init(|| self.port_for("public"))
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        // The shell has this command built in; a small system lacks the program.
        let command = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(status.success(), "{command}");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status = eventually("its end", || child.try_wait().unwrap());
        // The readers see the end of the pipes a moment later.
        let (output, errors) = (&self.output, &self.errors);
        eventually("the last line", || {
            (Arc::strong_count(output) == 1 && Arc::strong_count(errors) == 1).then_some(())
        });
        status
    }

    /// Asks it something on a connection of its own.
    pub fn get(&self, path: &str) -> Reply {
        ask(self.port(), "GET", path, &[], "")
    }

    /// Asks it something with an access token.
    pub fn get_as(&self, token: &str, path: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        ask(self.port(), "GET", path, &[("Authorization", &bearer)], "")
    }

    /// Asks it who a token belongs to.
    pub fn me(&self, token: &str) -> Reply {
        self.get_as(token, "/auth/me")
    }

    /// Sends it JSON.
    pub fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Reply {
        let bearer = token
            .map(|token| format!("Bearer {token}"))
            .unwrap_or_default();
        let mut headers = vec![("Content-Type", "application/json")];
        if token.is_some() {
            headers.push(("Authorization", &bearer));
        }
        ask(self.port(), "POST", path, &headers, &body.to_string())
    }
}

/// Every field and message that a line may have, in tables.
const REFERENCE: &str = include_str!("../../docs/reference/logs.md");

/// Fails on a line with a field or a message that the reference does not list.
#[track_caller]
fn assert_documented(line: &Value) {
    let target = line["target"].as_str().unwrap();
    // Other crates speak in their own words.
    let ours = ["warp_skeleton", "chassis_", "request", "panic"];
    if !ours.iter().any(|own| target.starts_with(own)) {
        return;
    }
    let fields = line.as_object().unwrap().keys().map(String::as_str);
    for name in fields.chain(line["message"].as_str()) {
        assert!(
            REFERENCE.contains(&format!("\n| `{name}` |")),
            "docs/reference/logs.md lacks {name}: {line}"
        );
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            return;
        }
        let output = self.output.lock().unwrap();
        for line in output.iter().chain(&*self.errors.lock().unwrap()) {
            assert_eq!(marks::mark_in(line), None, "leaked into the log: {line}");
        }
    }
}

fn gather(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let gathered = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            gathered.lock().unwrap().push(line);
        }
    });
    lines
}

/// What the service answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Reply {
    /// Takes an answer apart. `None` when it is not whole.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
        (body.len() == length).then(|| Self {
            status,
            head,
            body: body.to_owned(),
        })
    }

    /// A header by its name in lower case; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(found, _)| *found == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A connection that gives up in the end.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything that still comes on a connection.
pub fn rest_of(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One request on a connection of its own.
#[track_caller]
pub fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let text = exchange(connect(port), method, path, headers, body);
    Reply::parse(&text).unwrap_or_else(|| panic!("no whole answer: {text:?}"))
}

/// The same where the service may have ended: an empty answer then.
pub fn try_ask(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Reply> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Reply::parse(&exchange(stream, method, path, headers, body))
}

fn exchange(
    mut stream: TcpStream,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let headers = headers.concat();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    // A service that has ended sends nothing, and an empty text is returned.
    let _ = stream.write_all(request.as_bytes());
    rest_of(stream)
}
