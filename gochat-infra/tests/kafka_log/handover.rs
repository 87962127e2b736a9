//! Members that come and go, and members that are stopped and killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gochat_infra::cluster::kafka::KafkaMq;
use tokio_util::sync::CancellationToken;

use super::chain::{self, Member};
use super::{Reconnected, SESSION, config, connect};

/// How long the churn lasts.
const CHURN: Duration = Duration::from_secs(12);
const PREFIX: &str = "GOCHAT_TEST_KAFKA_PREFIX";
const ID: &str = "GOCHAT_TEST_KAFKA_ID";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_owner_never_misses_the_last_step_of_the_one_before() {
    let subject = Reconnected::new().await;
    let mq = subject.kafka();
    chain::topics(mq).await;
    let (stop, input) = chain::input(mq);
    let mut members: Vec<Member> = (0..2).map(|i| chain::start(mq, format!("m{i}"))).collect();
    let began = Instant::now();
    for turn in 2.. {
        if began.elapsed() > CHURN {
            break;
        }
        // Not a wait for something: this is the rhythm of the churn.
        tokio::time::sleep(Duration::from_millis(150 + 70 * (turn % 5))).await;
        let oldest = members.remove(0);
        members.push(chain::start(mq, format!("m{turn}")));
        match turn % 3 {
            0 => oldest.abort(),
            _ => oldest.leave().await,
        }
    }
    stop.cancel();
    let inputs = input.await.unwrap();
    chain::verify(mq, inputs).await;
    for member in members {
        member.leave().await;
    }
}

/// The child: a member in a process of its own. Does nothing in an ordinary test run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_is_a_member_until_it_is_killed() {
    let (Ok(prefix), Ok(id)) = (std::env::var(PREFIX), std::env::var(ID)) else {
        return;
    };
    let mut config = config();
    config.prefix = prefix;
    let mq = connect(&config).await;
    println!("ready");
    drop(chain::member(mq, id, CancellationToken::new()).await);
}

/// A member in a process of its own.
fn spawn(mq: &Reconnected, id: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "kafka_log::handover::child_is_a_member_until_it_is_killed",
        ])
        .env(PREFIX, &mq.config.prefix)
        .env(ID, id)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Resolves when the chain grew by `more`.
async fn grows(mq: &KafkaMq, more: usize) {
    let length = || async {
        let chain = chain::numbers(mq, 0).await;
        chain.map_or(0, |chain| chain.len())
    };
    let goal = length().await + more;
    let grown = async {
        while length().await < goal {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, grown)
        .await
        .expect("somebody goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_paused_past_its_session_adds_nothing() {
    let subject = Reconnected::new().await;
    let mq = subject.kafka();
    chain::topics(mq).await;
    let (stop, input) = chain::input(mq);
    let mut zombie = spawn(&subject, "zombie");
    grows(mq, 30).await;
    let heir = chain::start(mq, "heir");
    for _ in 0..3 {
        grows(mq, 5).await;
        signal(&zombie, "STOP");
        let paused = Instant::now();
        grows(mq, 30).await;
        tokio::time::sleep((SESSION * 2).saturating_sub(paused.elapsed())).await;
        signal(&zombie, "CONT");
        grows(mq, 30).await;
    }
    stop.cancel();
    let inputs = input.await.unwrap();
    chain::verify(mq, inputs).await;
    signal(&zombie, "KILL");
    zombie.wait().unwrap();
    heir.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_a_chain_that_goes_on() {
    let subject = Reconnected::new().await;
    let mq = subject.kafka();
    chain::topics(mq).await;
    let (stop, input) = chain::input(mq);
    let mut members = [spawn(&subject, "p0"), spawn(&subject, "p1")];
    for turn in 0..4 {
        grows(mq, 20).await;
        let victim = &mut members[turn % 2];
        signal(victim, "KILL");
        victim.wait().unwrap();
        // Every other one comes back under its own id and ends what it left open at once.
        let id = if turn < 2 {
            format!("p{}", turn % 2)
        } else {
            format!("q{turn}")
        };
        *victim = spawn(&subject, &id);
    }
    grows(mq, 20).await;
    stop.cancel();
    let inputs = input.await.unwrap();
    chain::verify(mq, inputs).await;
    for mut member in members {
        signal(&member, "KILL");
        member.wait().unwrap();
    }
}
