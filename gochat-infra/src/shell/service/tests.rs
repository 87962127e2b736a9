//! Settings from all layers, for a service made up for the purpose.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::args::Flags;
use super::source::{Source, dump};
use super::{Process, Program, Settings, check_jwt_secret};
use crate::embedded::coord::MemoryCoord;
use crate::port::coord::{ConfigCenter as _, ConfigState};
use crate::shell::{ConfigError, Failed};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(skip_serializing)]
    secret: String,
    login: Rule,
    direct_max: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rule {
    rate: f64,
    capacity: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret: String::new(),
            login: Rule {
                rate: 5.0,
                capacity: 10.0,
            },
            direct_max: 500,
        }
    }
}

struct Demo;

impl Program for Demo {
    const NAME: &'static str = "im-demo";
    const SECTION: &'static str = "demo";
    const ABOUT: &'static str = "Nothing.";
    const VARIABLES: &'static [(&'static str, &'static str)] = &[("JWT_SECRET", "demo.secret")];
    const SECRETS: &'static [&'static str] = &["demo.secret"];
    const RULES: &'static [(&'static str, &'static str)] = &[("login", "demo.login")];
    const COMPONENTS: &'static [(&'static str, &'static str)] = &[("fanout", "demo")];
    type Config = Config;

    fn check(settings: &Settings<Config>) -> Vec<String> {
        let production = settings.shared.is_production();
        let mut wrong: Vec<String> =
            check_jwt_secret("demo.secret", &settings.service.secret, production)
                .into_iter()
                .collect();
        if settings.service.direct_max > 10_000 {
            wrong.push("`demo.direct_max` must not be above 10000".to_owned());
        }
        wrong
    }

    async fn run(_process: Process<Self>) -> Result<(), Failed> {
        Ok(())
    }
}

const SECRET: &str = "pB3vY0tq9mYb7e1qWm2L5c8Xk4Zr6Ua1";

fn source(vars: &[(&str, &str)], set: &[&str]) -> Source {
    let flags = Flags {
        set: set.iter().map(|s| (*s).to_owned()).collect(),
        ..Flags::default()
    };
    let vars = vars
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    Source::read::<Demo>(&flags, vars)
}

fn load(vars: &[(&str, &str)]) -> Result<Settings<Config>, ConfigError> {
    source(vars, &[]).settings::<Demo>()
}

async fn state(values: &[(&str, &str)]) -> ConfigState {
    let coord = MemoryCoord::new();
    for (key, value) in values {
        coord.set(key, value).await.unwrap();
    }
    coord.list("/config/").await.unwrap()
}

#[test]
fn variables_of_the_contract_reach_their_settings() {
    let settings = load(&[
        ("JWT_SECRET", SECRET),
        ("APP_ENV", "production"),
        (
            "COORD_ETCD_ENDPOINTS",
            "http://etcd1:2379,http://etcd2:2379",
        ),
        ("KAFKA_BROKERS", "k1:9092,k2:9092"),
        ("DB_HOST", "mysql"),
        ("DB_PASSWORD", "12345678"),
        ("REDIS_ADDR", "cache:7000"),
        ("REPO_GRPC_ADDRESS", "repo:9002"),
        ("LOG_LEVEL", ""),
        ("GOCHAT_GATEWAY__LISTEN", "somebody else's"),
        ("HOME", "/"),
    ])
    .unwrap();
    let shared = &settings.shared;
    assert!(shared.is_production());
    assert_eq!(shared.coord.etcd.endpoints.len(), 2);
    assert_eq!(shared.kafka.brokers, "k1:9092,k2:9092");
    assert_eq!(shared.mysql.host, "mysql");
    assert_eq!(shared.mysql.password.as_deref(), Some("12345678"));
    assert_eq!(shared.redis.host, "cache");
    assert_eq!(shared.redis.port, 7000);
    assert_eq!(shared.rpc.repo, ["repo:9002"]);
    assert_eq!(shared.log.level, "info", "empty is not set");
    let shown = dump::<Demo>(&settings);
    assert!(!shown.contains(SECRET) && !shown.contains("12345678"));
}

#[test]
fn every_mistake_is_told_at_once() {
    let wrong = source(
        &[
            ("SERVER_GRPC_PORT", "70000x"),
            ("GOCHAT_KAFKA__BROKER", "x"),
            ("LOG_LEVEL", "debug"),
        ],
        &["demo.direct_max=many", "nonsense"],
    )
    .settings::<Demo>();
    let complaints = wrong.err().unwrap().complaints().to_vec();
    assert_eq!(complaints.len(), 5, "{complaints:#?}");
    for part in [
        "SERVER_GRPC_PORT",
        "GOCHAT_KAFKA__BROKER",
        "demo.direct_max",
        "nonsense",
        "JWT_SECRET",
    ] {
        assert!(complaints.iter().any(|c| c.contains(part)), "{part}");
    }
}

#[test]
fn values_that_only_together_make_no_sense_are_told_at_once_too() {
    let complaints = load(&[
        ("SERVER_HOST", "0.0.0.0"),
        ("KAFKA_PARTITIONS", "0"),
        ("GOCHAT_DEMO__DIRECT_MAX", "20000"),
    ])
    .unwrap_err();
    let text = complaints.to_string();
    for part in [
        "server.host",
        "topics.partitions",
        "JWT_SECRET",
        "direct_max",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_secret_must_be_there_long_and_in_production_no_sample() {
    let long_sample = "changeme-changeme-changeme-changeme";
    assert!(load(&[]).is_err());
    assert!(load(&[("JWT_SECRET", "short")]).is_err());
    assert!(load(&[("JWT_SECRET", long_sample)]).is_ok());
    assert!(load(&[("JWT_SECRET", long_sample), ("APP_ENV", "prod")]).is_err());
}

#[tokio::test]
async fn the_centre_lies_between_file_and_environment_and_a_service_over_all_services() {
    let state = state(&[
        (
            "/config/dev/global/clog",
            r#"{"level": "warn", "addSource": true}"#,
        ),
        (
            "/config/dev/global/mq",
            r#"{"common": {"brokers": ["a:1", "b:2"], "clientIdPrefix": "x"}}"#,
        ),
        ("/config/dev/global/demo", r#"{"directMax": 100}"#),
        ("/config/dev/im-demo/fanout", r#"{"direct_max": 200}"#),
        (
            "/config/dev/im-demo/ratelimit/login.json",
            r#"{"rate": 1, "burst": 2}"#,
        ),
        (
            "/config/dev/im-demo/app",
            r#"{"serviceName": "im-demo", "env": "dev"}"#,
        ),
        ("/config/dev/im-other/demo", r#"{"direct_max": 300}"#),
        ("/config/prod/global/clog", r#"{"level": "error"}"#),
    ])
    .await;
    let vars = [("JWT_SECRET", SECRET), ("LOG_LEVEL", "debug")];
    let loaded = source(&vars, &[])
        .with_center::<Demo>(&state, &[])
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.rejected, Vec::<String>::new());
    let Settings { shared, service } = loaded.settings;
    assert_eq!(shared.log.level, "debug", "the environment wins");
    assert!(shared.log.add_source);
    assert_eq!(shared.kafka.brokers, "a:1,b:2");
    assert_eq!(shared.kafka.client_id, "x");
    assert_eq!(service.direct_max, 200);
    assert_eq!((service.login.rate, service.login.capacity), (1.0, 2.0));
}

#[tokio::test]
async fn a_bad_value_of_the_centre_is_left_out_and_the_others_hold() {
    let state = state(&[
        (
            "/config/dev/global/clog",
            r#"{"level": "lo=u=d", "format": "console"}"#,
        ),
        ("/config/dev/global/mq", "no json"),
        ("/config/dev/global/nothing", r#"{"a": 1}"#),
        (
            "/config/dev/im-demo/demo",
            r#"{"direct_max": 50000, "nope": 1}"#,
        ),
        ("/config/dev/im-demo/ratelimit/login", r#"{"rate": "fast"}"#),
    ])
    .await;
    let loaded = source(&[("JWT_SECRET", SECRET)], &[]).with_center::<Demo>(&state, &[]);
    let loaded = loaded.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.settings.shared.log.level, "info");
    assert_eq!(
        loaded.settings.shared.log.format,
        crate::shell::LogFormat::Console
    );
    assert_eq!(loaded.settings.service.direct_max, 500);
    assert_eq!(loaded.rejected.len(), 6, "{:#?}", loaded.rejected);
    assert!(
        loaded
            .rejected
            .iter()
            .all(|why| why.starts_with("/config/"))
    );
}

#[tokio::test]
async fn a_change_in_the_centre_is_published_and_a_bad_one_is_not() {
    let center = Arc::new(MemoryCoord::new());
    let source = source(&[("JWT_SECRET", SECRET)], &[]);
    let first = source.settings::<Demo>().unwrap_or_else(|e| panic!("{e}"));
    let (sender, mut live) = tokio::sync::watch::channel(Arc::new(first));
    let stop = tokio_util::sync::CancellationToken::new();
    let following = super::live::follow::<Demo>(center.clone(), source, sender, stop.clone());
    let following = tokio::spawn(following);
    let key = "/config/dev/im-demo/fanout";
    center.set(key, r#"{"direct_max": 7}"#).await.unwrap();
    live.wait_for(|s| s.service.direct_max == 7).await.unwrap();
    center.set(key, r#"{"direct_max": 70000}"#).await.unwrap();
    let level = "/config/dev/global/clog";
    center.set(level, r#"{"level": "debug"}"#).await.unwrap();
    let now = live
        .wait_for(|s| s.shared.log.level == "debug")
        .await
        .unwrap()
        .clone();
    assert_eq!(now.service.direct_max, 7, "the old value stays");
    center.set(key, "no json").await.unwrap();
    center.set(level, r#"{"level": "warn"}"#).await.unwrap();
    let now = live
        .wait_for(|s| s.shared.log.level == "warn")
        .await
        .unwrap()
        .clone();
    assert_eq!(now.service.direct_max, 7, "the old value stays");
    center.delete(key).await.unwrap();
    center.delete(level).await.unwrap();
    let gone = live
        .wait_for(|s| s.shared.log.level == "info")
        .await
        .unwrap()
        .clone();
    assert_eq!(gone.service.direct_max, 500, "what is removed is no value");
    stop.cancel();
    following.await.unwrap();
}
