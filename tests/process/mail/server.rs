//! An SMTP server that does what a test asks: takes messages, refuses, stalls, breaks off, offers STARTTLS or not.
//!
//! Held against Mailpit 1.33 (`mailpit.rs`), which takes what this one takes.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::support::Folder;

/// Where a fault happens: when the client has said this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    Connect,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// When the whole message has arrived.
    Content,
}

/// What happens instead of an answer.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Reply(&'static str),
    Stall,
    /// The answer comes so much later.
    Delay(Duration),
    /// What is written before the conversation goes on as if nothing had been.
    Inject(&'static str),
    /// The connection ends without an answer.
    Drop,
}

/// What the server offers.
#[derive(Default, Clone)]
pub struct Offer {
    /// TLS, from the first byte.
    pub tls: Option<Arc<ServerConfig>>,
    /// TLS after STARTTLS.
    pub starttls: Option<Arc<ServerConfig>>,
    /// The user and password that AUTH takes, and without which it takes no mail.
    pub login: Option<(&'static str, &'static str)>,
}

/// A fault that happens to each message, or to one in so many.
#[derive(Clone, Copy)]
struct Faults {
    fault: Fault,
    every: usize,
    seen: usize,
}

#[derive(Default)]
struct State {
    faults: HashMap<At, Faults>,
    /// Every line that a client sent, of all connections.
    lines: Vec<String>,
    messages: Vec<Message>,
    connections: usize,
    open: Vec<TcpStream>,
}

/// A message that arrived whole.
#[derive(Debug, Clone)]
pub struct Message {
    pub from: String,
    pub to: Vec<String>,
    pub content: String,
    // recovery: begin
    /// Whether the client was told that it was taken.
    pub is_confirmed: bool,
    // recovery: end
    /// Whether it came over TLS.
    pub is_encrypted: bool,
}

impl Message {
    /// The value of a header, its lines joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.content.split("\r\n\r\n").next()?;
        let head = head.replace("\r\n ", " ");
        head.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix(": ")?;
            Some(value.to_owned())
        })
    }
}

/// A running server.
pub struct SmtpServer {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl SmtpServer {
    pub fn start() -> Self {
        Self::offering(Offer::default())
    }

    pub fn offering(offer: Offer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, offer) = (Arc::clone(&shared), offer.clone());
                {
                    let mut state = shared.lock().unwrap();
                    state.connections += 1;
                    state.open.push(stream.try_clone().unwrap());
                }
                // A connection that breaks is the client's business.
                thread::spawn(move || {
                    let ended = stream.try_clone().unwrap();
                    let _ = converse(stream, &offer, &shared);
                    let _ = ended.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port, state }
    }

    /// As `MAIL_URL` takes it.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// From now on this happens there.
    pub fn fail(&self, at: At, fault: Fault) {
        self.fail_every(at, 1, fault);
    }

    /// From now on this happens there to one in so many.
    pub fn fail_every(&self, at: At, every: usize, fault: Fault) {
        let faults = Faults {
            fault,
            every,
            seen: 0,
        };
        self.state.lock().unwrap().faults.insert(at, faults);
    }

    /// From now on nothing does.
    pub fn recover(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// Closes every connection.
    pub fn hang_up(&self) {
        for stream in self.state.lock().unwrap().open.drain(..) {
            // It may have ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn messages(&self) -> Vec<Message> {
        self.state.lock().unwrap().messages.clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.state.lock().unwrap().lines.clone()
    }

    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

struct Conversation<'a> {
    stream: BufReader<Box<dyn Stream>>,
    state: &'a Mutex<State>,
}

impl Conversation<'_> {
    fn say(&mut self, line: &str) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        stream.flush()
    }

    /// Answers, or does what a fault says. `false` when the command did not succeed.
    fn answer(&mut self, at: At, line: &str) -> io::Result<bool> {
        let fault = self.fault(at);
        self.answer_with(fault, line)
    }

    /// What happens here this time.
    fn fault(&self, at: At) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let faults = state.faults.get_mut(&at)?;
        faults.seen += 1;
        (faults.seen % faults.every == 0).then_some(faults.fault)
    }

    fn answer_with(&mut self, fault: Option<Fault>, line: &str) -> io::Result<bool> {
        match fault {
            None => self.say(line).map(|()| true),
            Some(Fault::Reply(line)) => self.say(line).map(|()| false),
            Some(Fault::Delay(time)) => {
                thread::sleep(time);
                self.say(line).map(|()| true)
            }
            Some(Fault::Inject(line)) => self.say(line).map(|()| true),
            Some(Fault::Drop) => Err(io::ErrorKind::BrokenPipe.into()),
            Some(Fault::Stall) => loop {
                // Until the client goes away.
                let mut byte = [0];
                if self.stream.read(&mut byte)? == 0 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            },
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end_matches(['\r', '\n']).to_owned();
        self.state.lock().unwrap().lines.push(line.clone());
        Ok(line)
    }

    /// Everything up to the line with a dot alone, without the dots that were doubled.
    fn content(&mut self) -> io::Result<String> {
        let mut content = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line == ".\r\n" {
                return Ok(content);
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
        }
    }
}

fn encrypted(stream: TcpStream, config: &Arc<ServerConfig>) -> Box<dyn Stream> {
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    Box::new(StreamOwned::new(connection, stream))
}

fn converse(stream: TcpStream, offer: &Offer, state: &Mutex<State>) -> io::Result<()> {
    let plain = stream.try_clone()?;
    let first: Box<dyn Stream> = match &offer.tls {
        Some(config) => encrypted(stream, config),
        None => Box::new(stream),
    };
    let stream = BufReader::new(first);
    let mut talk = Conversation { stream, state };
    let mut is_encrypted = offer.tls.is_some();
    let mut is_known = offer.login.is_none();
    let (mut from, mut to) = (String::new(), Vec::new());
    if !talk.answer(At::Connect, "220 test.example ESMTP")? {
        return Ok(());
    }
    loop {
        let line = talk.line()?;
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        match command {
            "EHLO" => {
                let starttls = offer.starttls.is_some() && !is_encrypted;
                let more = if starttls { "250-STARTTLS\r\n" } else { "" };
                let hello = format!("250-test.example\r\n{more}250 AUTH PLAIN LOGIN");
                talk.answer(At::Ehlo, &hello)?;
            }
            "STARTTLS" => {
                if talk.answer(At::StartTls, "220 go ahead")? {
                    let config = offer.starttls.as_ref().unwrap();
                    talk.stream = BufReader::new(encrypted(plain.try_clone()?, config));
                    is_encrypted = true;
                }
            }
            "AUTH" => {
                let (user, password) = offer.login.unwrap_or_default();
                let plain = base64(&format!("\0{user}\0{password}"));
                if argument == format!("PLAIN {plain}") {
                    is_known = talk.answer(At::Auth, "235 2.7.0 welcome")?;
                } else {
                    talk.say("535 5.7.8 marked-user: wrong password")?;
                }
            }
            "MAIL" | "RCPT" | "DATA" if !is_known => talk.say("530 5.7.0 authenticate first")?,
            "MAIL" => {
                argument.clone_into(&mut from);
                to.clear();
                talk.answer(At::Mail, "250 2.1.0 ok")?;
            }
            "RCPT" => {
                to.push(argument.to_owned());
                talk.answer(At::Rcpt, "250 2.1.5 ok")?;
            }
            "DATA" => {
                if talk.answer(At::Data, "354 go on")? {
                    let content = talk.content()?;
                    let fault = talk.fault(At::Content);
                    let message = Message {
                        from: from.clone(),
                        to: to.clone(),
                        content,
                        // recovery: begin
                        is_confirmed: !matches!(fault, Some(Fault::Drop | Fault::Stall)),
                        // recovery: end
                        is_encrypted,
                    };
                    // A server that breaks off or stalls then may have taken it.
                    if !matches!(fault, Some(Fault::Reply(_))) {
                        state.lock().unwrap().messages.push(message);
                    }
                    talk.answer_with(fault, "250 2.0.0 queued as 4711")?;
                }
            }
            "NOOP" | "RSET" => talk.say("250 2.0.0 ok")?,
            "QUIT" => return talk.say("221 2.0.0 bye"),
            _ => talk.say("500 5.5.2 what?")?,
        }
    }
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// That of the machine may be missing, or say something else.
const OPENSSL_CONF: &str = "
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = keyCertSign
";

/// An authority of the test's own, and a server's certificate for `localhost`, 127.0.0.1 and 0.0.0.0, which is this machine and yet no loopback address.
pub struct Authority {
    folder: Folder,
    pub config: Arc<ServerConfig>,
}

impl Authority {
    pub fn new() -> Self {
        let folder = Folder::new();
        fs::write(folder.join("openssl.cnf"), OPENSSL_CONF).unwrap();
        openssl(
            &folder,
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=test authority",
                "-keyout",
                "ca.key",
                "-out",
                "ca.crt",
            ],
        );
        openssl(
            &folder,
            &[
                "req",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=localhost",
                "-keyout",
                "server.key",
                "-out",
                "server.csr",
            ],
        );
        let names =
            "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:0.0.0.0\nbasicConstraints=CA:FALSE\n";
        fs::write(folder.join("names"), names).unwrap();
        openssl(
            &folder,
            &[
                "x509",
                "-req",
                "-in",
                "server.csr",
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                "names",
                "-out",
                "server.crt",
            ],
        );
        let certificate = CertificateDer::from_pem_file(folder.join("server.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self {
            folder,
            config: Arc::new(config),
        }
    }

    /// As `SSL_CERT_FILE` takes it.
    pub fn file(&self) -> String {
        self.folder.join("ca.crt").to_str().unwrap().to_owned()
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let made = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .env("OPENSSL_CONF", "openssl.cnf")
        .output();
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
}
