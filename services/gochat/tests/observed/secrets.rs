//! Logs hold no token, no password and no message, at any level an operator may choose.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::kit::http::Http;
use crate::kit::{PATIENCE, Socket, User, eventually, text};

const PASSWORD: &str = "Planted-Password-7391";
const CONTENT: &str = "planted message content 4417";
const OTHER_CONTENT: &str = "planted frame content 9902";

/// A server in a process of its own, so that what it logs is what an operator gets.
struct Process {
    child: Child,
    base: String,
    /// Kept open: a program whose output nobody takes any more may end.
    _greeting: BufReader<std::process::ChildStdout>,
    _dir: tempfile::TempDir,
}

impl Process {
    fn start(level: &str) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_gochat"))
            .args(["--set", "gateway.listen=127.0.0.1:0"])
            .args([
                "--set",
                "log.format=json",
                "--set",
                &format!("log.level={level}"),
            ])
            .args(["--set", "logic.passwords.memory_kib=64"])
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut greeting = BufReader::new(child.stdout.take().unwrap());
        let base = greeting
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.trim()
                    .strip_prefix("chat page")
                    .map(|url| url.trim().to_owned())
            })
            .expect("a greeting");
        Self {
            child,
            base: base.trim_end_matches('/').to_owned(),
            _greeting: greeting,
            _dir: dir,
        }
    }

    /// Stops the server and gives everything it logged.
    fn logged(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let began = std::time::Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < 4 * PATIENCE, "it does not stop");
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert!(status.success());
        let mut log = String::new();
        let mut file = std::fs::File::open(self._dir.path().join("log")).unwrap();
        file.read_to_string(&mut log).unwrap();
        log
    }
}

async fn account(http: &Http, name: &str) -> Value {
    let account = json!({"username": name, "password": PASSWORD});
    let registered = http.call("POST", "/auth/register", None, Some(account.clone()));
    registered.await.data();
    http.call("POST", "/auth/login", None, Some(account))
        .await
        .data()
}

/// Everything in which a secret travels, and every way it may go wrong. The secrets.
async fn live(base: &str) -> Vec<String> {
    let http = Http::new(base.to_owned());
    let (first, second) = (
        account(&http, "planted-a").await,
        account(&http, "planted-b").await,
    );
    let (a, b) = (
        User::new(http.clone(), &first),
        User::new(http.clone(), &second),
    );
    let wrong = json!({"username": "planted-a", "password": format!("{PASSWORD}-wrong")});
    http.call("POST", "/auth/login", None, Some(wrong)).await;
    let mut socket = b.connect().await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, CONTENT).await.data();
    socket.expect("new-message").await;
    socket.say(&chat, OTHER_CONTENT, "c1").await;
    socket.acked("c1").await;
    // Broken on purpose: parsers like to quote what they could not read.
    socket
        .send_text(&format!(
            "{{\"type\":\"send-message\",\"data\":{{\"content\":\"{OTHER_CONTENT}\""
        ))
        .await;
    socket.expect("error").await;
    let broken = format!("{{\"messageType\":1,\"content\":\"{CONTENT}\",");
    let path = format!("/api/conversations/{chat}/messages");
    let bearer = format!("Bearer {}", a.token);
    http.raw("POST", &path, &[("authorization", &bearer)], broken.into())
        .await;
    let forged = format!("{}x", a.token);
    assert_eq!(
        Socket::open(base, &format!("token={forged}")).await.err(),
        Some(401)
    );
    http.call("GET", "/conversations", Some(&forged), None)
        .await;
    eventually("rows", async || {
        (a.history(&chat).await.len() == 2).then_some(())
    })
    .await;
    let refresh = text(&first["refreshToken"]);
    let pair = json!({"refreshToken": refresh});
    let renewed = http
        .call("POST", "/auth/refresh", None, Some(pair.clone()))
        .await
        .data();
    // Used twice: an incident worth a line, without the token.
    http.call("POST", "/auth/refresh", None, Some(pair)).await;
    b.post("/auth/logout", json!({})).await;
    let mut secrets: Vec<String> = [PASSWORD, CONTENT, OTHER_CONTENT]
        .map(str::to_owned)
        .to_vec();
    for session in [&first, &second, &renewed] {
        for field in ["accessToken", "refreshToken"] {
            let token = text(&session[field]);
            // The signature alone would do; the payload holds nothing but names.
            secrets.extend(token.rsplit('.').next().map(str::to_owned));
            secrets.push(token);
        }
    }
    secrets
}

async fn nothing_leaks(level: &str) -> Vec<Value> {
    let server = Process::start(level);
    let secrets = live(&server.base).await;
    let log = server.logged();
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret} in {line:?}");
    }
    let parsed = log.lines().map(serde_json::from_str::<Value>);
    parsed
        .map(|line| line.expect("one JSON object a line"))
        .collect()
}

#[tokio::test]
async fn logs_at_info_hold_no_secret() {
    let lines = nothing_leaks("info").await;
    assert!(lines.iter().any(|line| line["msg"] == "gateway is serving"));
}

#[tokio::test]
async fn logs_at_debug_hold_no_secret_and_name_the_trace_of_each_request() {
    let lines = nothing_leaks("debug").await;
    let access = lines.iter().filter(|line| line["namespace"] == "access");
    let traced = access.filter(|line| line["trace_id"] != "");
    assert!(
        traced.count() > 5,
        "requests are logged with their trace ids"
    );
}
