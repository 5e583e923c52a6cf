//! What people do with links, on two replicas: asked for on one, used on the other.

use serde_json::{Value, json};

use super::{EVIL, FROM, Mailbox, ORIGIN, ask_as_evil};
use crate::{
    cluster,
    collector::Collector,
    mail::server::{At, Fault},
    support::{Reply, Service, eventually, printed, run},
};

const EMAIL: &str = "ada@marked.example";
const OLD: &str = "marked-password-old";
const NEW: &str = "marked-password-new";

/// Two replicas that send mail to one server and spans to one collector.
struct Replicas {
    url: String,
    mailbox: Mailbox,
    collector: Collector,
    one: Service,
    two: Service,
}

impl Replicas {
    async fn start() -> Self {
        let url = cluster::new_database().await;
        let (mailbox, collector) = (Mailbox::start(), Collector::start());
        let (address, endpoint) = (mailbox.server.url(), collector.endpoint());
        let settings = [
            FROM,
            ("MAIL_URL", address.as_str()),
            ("PUBLIC_URL", ORIGIN),
            ("OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("JOBS_POLL_MS", "100"),
            ("LOG_LEVEL", "debug"),
        ];
        let (one, two) = (
            Service::spawn(&url, &settings, &[]),
            Service::spawn(&url, &settings, &[]),
        );
        for service in [&one, &two] {
            service.await_line("ready");
        }
        Self {
            url,
            mailbox,
            collector,
            one,
            two,
        }
    }

    fn both(&self) -> [&Service; 2] {
        [&self.one, &self.two]
    }

    /// Everything that an operator sees, in one text.
    fn output(&self) -> String {
        let mut texts = Vec::new();
        for service in self.both() {
            texts.extend(service.lines().iter().map(Value::to_string));
            texts.extend(service.errors());
            texts.push(service.get("/metrics").body);
        }
        let spans = self.collector.spans();
        texts.extend(spans.iter().map(|span| format!("{span:?}")));
        let mut ids = Vec::new();
        for state in ["queued", "running", "dead"] {
            let listed = printed(&run(
                &self.url,
                &[],
                &["jobs", "list", "--state", state],
                "",
            ));
            ids.extend(
                listed
                    .split_whitespace()
                    .filter(|word| word.len() == 36 && uuid::Uuid::parse_str(word).is_ok())
                    .map(ToOwned::to_owned),
            );
            texts.push(listed);
        }
        assert!(ids.len() >= 2, "{ids:?}");
        for id in ids {
            texts.push(printed(&run(&self.url, &[], &["jobs", "show", &id], "")));
        }
        texts.join("\n")
    }
}

fn sign_in(service: &Service, password: &str) -> Reply {
    let body = json!({"email": EMAIL, "password": password});
    service.post("/auth/token", None, &body)
}

fn code(reply: &Reply) -> (u16, String) {
    let code = reply.json()["code"].as_str().unwrap().to_owned();
    (reply.status, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_verified_and_recovered_by_links_and_nothing_tells_its_secrets() {
    let replicas = Replicas::start().await;
    let (one, two, mailbox) = (&replicas.one, &replicas.two, &replicas.mailbox);
    let account = json!({"email": EMAIL, "password": OLD});

    // Registered by somebody who says that the service is elsewhere.
    assert_eq!(ask_as_evil(one, "/auth/register", &account).status, 201);
    let verify = mailbox.receive(EMAIL, "Verify your e-mail address");
    let verify_token = verify.token("/account/verify");
    let proof = json!({"token": verify_token, "password": OLD});
    assert_eq!(two.post("/auth/email/verify", None, &proof).status, 204);
    let again = one.post("/auth/email/verify", None, &proof);
    assert_eq!(code(&again), (422, "token_invalid".to_owned()));

    let sessions = [sign_in(one, OLD).json(), sign_in(two, OLD).json()];
    let access = sessions
        .each_ref()
        .map(|session| session["access_token"].as_str().unwrap());
    for (service, token) in [(one, access[1]), (two, access[0])] {
        assert_eq!(service.me(token).status, 200);
    }
    let forgot = ask_as_evil(one, "/auth/password/forgot", &json!({"email": EMAIL}));
    assert_eq!(forgot.status, 202);
    let reset = mailbox.receive(EMAIL, "Choose a new password");
    let reset_token = reset.token("/account/reset");
    let change = json!({"token": reset_token, "new_password": NEW});
    assert_eq!(two.post("/auth/password/reset", None, &change).status, 204);

    for service in replicas.both() {
        let again = json!({"token": reset_token, "new_password": "marked-password-third"});
        let again = service.post("/auth/password/reset", None, &again);
        assert_eq!(code(&again), (422, "token_invalid".to_owned()));
        for token in access {
            assert_eq!(code(&service.me(token)), (401, "invalid_token".to_owned()));
        }
        assert_eq!(
            code(&sign_in(service, OLD)),
            (401, "invalid_credentials".to_owned())
        );
    }
    mailbox.receive(EMAIL, "was changed");
    let renewed = sign_in(one, NEW).json();

    // What waits and what is dead is shown to operators, too.
    let server = &mailbox.server;
    server.fail(
        At::Rcpt,
        Fault::Reply("451 4.3.0 <ada@marked.example> later"),
    );
    let other = json!({"email": "bob@marked.example", "password": OLD});
    assert_eq!(one.post("/auth/register", None, &other).status, 201);
    eventually("an attempt that failed", || {
        replicas.failed_attempts("failed")
    });
    server.fail(
        At::Rcpt,
        Fault::Reply("550 5.1.1 <eve@marked.example> unknown"),
    );
    let third = json!({"email": "eve@marked.example", "password": OLD});
    assert_eq!(two.post("/auth/register", None, &third).status, 201);
    eventually("an attempt that was refused", || {
        replicas.failed_attempts("refused")
    });

    let output = eventually("spans of mail", || {
        let output = replicas.output();
        output.contains("mail_send").then_some(output)
    });
    let tokens = [&sessions[0], &sessions[1], &renewed];
    let tokens = tokens.map(|pair| {
        ["access_token", "refresh_token"].map(|name| pair[name].as_str().unwrap().to_owned())
    });
    let secrets = tokens.as_flattened().iter().map(String::as_str);
    let secrets = secrets.chain([&verify_token, &reset_token, OLD, NEW, "marked"]);
    for secret in secrets {
        assert!(
            !output.contains(secret),
            "{secret} is in what the service says"
        );
    }
    for message in mailbox.server.messages() {
        assert!(!message.content.contains(EVIL), "{}", message.content);
    }
    assert!(!output.contains("evil"), "a header of a request is logged");
}

impl Replicas {
    /// Whether an attempt of either replica ended so.
    fn failed_attempts(&self, outcome: &str) -> Option<()> {
        let lines = self.both().map(Service::lines).concat();
        let ended = |line: &Value| line["message"] == "mail_failed" && line["outcome"] == outcome;
        lines.iter().any(ended).then_some(())
    }
}
