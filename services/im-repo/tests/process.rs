//! The process from outside: exit codes, probes, signals. Needs no servers.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// The program, with nothing from the environment of the tests.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_im-repo"));
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn settings_that_cant_be_used_end_with_64_and_every_complaint() {
    let ended = program()
        .env("SERVER_HOST", "0.0.0.0")
        .env("SERVER_PORT", "seventy")
        .env("GOCHAT_MYSQL__HOTS", "x")
        .arg("--set")
        .arg("topics.partitions=0")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(64));
    let said = text(&ended);
    for part in [
        "server.host",
        "SERVER_PORT",
        "mysql.hots",
        "topics.partitions",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn settings_are_shown_without_secrets() {
    let ended = program()
        .env("DB_PASSWORD", "hunter2")
        .arg("--dump-config")
        .output()
        .unwrap();
    assert!(ended.status.success());
    let shown: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(shown["mysql"]["port"], 3306);
    assert!(!text(&ended).contains("hunter2"));
}

#[test]
fn without_any_server_the_process_lives_is_not_ready_says_why_and_stops_when_told() {
    let ports = gochat_infra::listen::free_ports(3).unwrap();
    let port = ports[0];
    // Ports at which nobody listens: all four servers are away.
    let nobody = format!("127.0.0.1:{}", ports[1]);
    let mut child = program()
        .env("SERVER_PORT", port.to_string())
        .env("COORD_ETCD_ENDPOINTS", &nobody)
        .env("DB_HOST", "127.0.0.1")
        .env("DB_PORT", ports[2].to_string())
        .env("REDIS_ADDR", &nobody)
        .env("INSTANCE_ID", "7")
        .env("GOCHAT_COORD__LOAD_TIMEOUT_MS", "200")
        .spawn()
        .unwrap();
    let live = wait_for(&mut child, port, "/live", "200");
    assert!(live.contains("ok"));
    let ready = wait_for(&mut child, port, "/ready", "503");
    assert!(ready.contains("etcd"), "{ready}");
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .arg("-TERM")
            .arg(pid)
            .status()
            .unwrap()
            .success()
    );
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended));
}

/// Asks until the answer has this code.
fn wait_for(child: &mut Child, port: u16, path: &str, code: &str) -> String {
    let began = Instant::now();
    loop {
        let answer = ask(port, path).unwrap_or_default();
        if answer.starts_with(&format!("HTTP/1.1 {code}")) {
            return answer;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        assert!(began.elapsed() < PATIENCE, "{path}: {answer}");
        std::thread::yield_now();
    }
}

fn ask(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
