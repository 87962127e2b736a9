use super::*;
use serde_json::json;

fn defaults() -> Value {
    json!({"listen": "127.0.0.1:8080", "gateway": {"queue": 256, "rate": 10.0, "origins": [], "rules": {}}})
}

#[test]
fn later_layers_win() {
    let mut layers = Layers::new(defaults());
    layers.file("c.yaml", "gateway:\n  queue: 1\n  rate: 2\n");
    layers.environment([
        ("GOCHAT_GATEWAY__QUEUE".into(), "2".into()),
        ("HOME".into(), "x".into()),
    ]);
    layers.assignment("listen=127.0.0.1:1");
    let tree = layers.finish().unwrap();
    assert_eq!(tree["gateway"]["queue"], 2);
    assert_eq!(tree["listen"], "127.0.0.1:1");
}

#[test]
fn the_three_formats_say_the_same() {
    for (name, text) in [
        ("c.json", r#"{"gateway":{"queue":7}}"#),
        ("c.toml", "[gateway]\nqueue = 7"),
        ("c.yml", "gateway: {queue: 7}"),
    ] {
        let mut layers = Layers::new(defaults());
        layers.file(name, text);
        assert_eq!(layers.finish().unwrap()["gateway"]["queue"], 7, "{name}");
    }
}

#[test]
fn every_error_is_reported_at_once() {
    let mut layers = Layers::new(defaults());
    layers.file("c.json", r#"{"gateway":{"queue":"many"},"nope":1}"#);
    layers.environment([("GOCHAT_GATEWAY__NOPE".into(), "1".into())]);
    layers.assignment("gateway.rate=fast");
    let errors = layers.finish().unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:#?}");
}

#[test]
fn a_mistake_in_a_file_names_its_line() {
    for (name, text) in [
        ("c.yaml", "# queue\ngateway:\n  rate: 1\n  queue: many\n"),
        (
            "c.toml",
            "# a file\n[gateway]\nrate = 1\nqueue = \"many\"\n",
        ),
        (
            "c.json",
            "{\n\"gateway\": {\n\"rate\": 1,\n\"queue\": \"many\"}}",
        ),
    ] {
        let mut layers = Layers::new(defaults());
        layers.file(name, text);
        let errors = layers.finish().unwrap_err();
        assert!(
            errors[0].starts_with(&format!("{name}:4: `gateway.queue`")),
            "{errors:?}"
        );
    }
}

#[test]
fn names_that_others_write_are_warnings() {
    let mut layers = Layers::new(defaults());
    layers.environment(
        [
            ("GOCHAT_PORT", "tcp://10.96.3.4:8080"),
            ("GOCHAT_SERVICE_HOST", "10.96.3.4"),
            ("GOCHAT_GATEWAY", "tcp://10.96.3.4:8080"),
            ("GOCHAT_URL", "http://127.0.0.1:8080"),
            ("GOCHAT__PORT", "1"),
            ("GOCHAT_LISTEN", "127.0.0.1:7"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned())),
    );
    let merged = layers.parts();
    assert_eq!(merged.errors, [""; 0]);
    assert_eq!(merged.warnings.len(), 5, "{:?}", merged.warnings);
    assert_eq!(merged.tree["listen"], "127.0.0.1:7");
}

#[test]
fn what_only_the_typed_parse_finds_names_its_place() {
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only its refusal is looked at")]
    struct Typed {
        listen: std::net::SocketAddr,
    }
    let mut layers = Layers::new(defaults());
    layers.set(&["listen".to_owned()], "nowhere", "--listen");
    let merged = layers.parts();
    let error = merged.typed::<Typed>(merged.tree.clone(), "").unwrap_err();
    assert!(error.starts_with("--listen: `listen`: "), "{error}");
    let placed = merged.placed("`listen` must be nearer".to_owned());
    assert_eq!(placed, "--listen: `listen` must be nearer");
}

#[test]
fn a_list_may_be_written_with_commas() {
    let mut layers = Layers::new(defaults());
    layers.assignment("gateway.origins=https://a, https://b");
    layers.variables(
        &[("LISTEN", "listen"), ("QUEUE", "gateway.queue")],
        &[
            ("LISTEN".into(), String::new()),
            ("QUEUE".into(), "9".into()),
        ],
    );
    let tree = layers.finish().unwrap();
    assert_eq!(
        tree["gateway"]["origins"],
        json!(["https://a", "https://b"])
    );
    assert_eq!(tree["listen"], "127.0.0.1:8080", "empty is not set");
    assert_eq!(tree["gateway"]["queue"], 9);
}

#[test]
fn what_is_offered_fits_as_a_whole_or_changes_nothing() {
    let mut layers = Layers::new(defaults());
    let path = ["gateway".to_owned()];
    let refused = layers.offer("centre", &path, json!({"queue": 3, "rate": "fast"}));
    assert_eq!(refused.unwrap_err().len(), 1);
    assert_eq!(layers.at(&path).unwrap()["queue"], 256);
    layers.offer("centre", &path, json!({"queue": 3})).unwrap();
    assert_eq!(layers.finish().unwrap()["gateway"]["queue"], 3);
}

#[test]
fn a_setting_that_is_nothing_by_default_may_become_a_structure() {
    let mut layers = Layers::new(json!({"tls": null, "sasl": null}));
    layers.assignment("tls.ca_file=/etc/ca.pem");
    layers.assignment("sasl.password=12345678");
    let tree = layers.finish().unwrap();
    let wanted = json!({"tls": {"ca_file": "/etc/ca.pem"}, "sasl": {"password": "12345678"}});
    assert_eq!(tree, wanted);
}

#[test]
fn sections_of_others_are_skipped_in_every_layer() {
    let mut layers = Layers::new(defaults()).skipping(["logic"]);
    layers.file("c.json", r#"{"logic":{"workers":3},"listen":"x"}"#);
    layers.environment([("GOCHAT_LOGIC__WORKERS".into(), "3".into())]);
    assert_eq!(layers.finish().unwrap()["listen"], "x");
}

#[test]
fn an_open_map_stays_open_in_later_layers() {
    let mut layers = Layers::new(defaults());
    layers.file("c.json", r#"{"gateway":{"rules":{"a":{"rate":1}}}}"#);
    layers.assignment("gateway.rules.a.capacity=4");
    layers.assignment("gateway.rules.b.rate=2");
    let tree = layers.finish().unwrap();
    let rules = json!({"a": {"rate": 1, "capacity": 4}, "b": {"rate": 2}});
    assert_eq!(tree["gateway"]["rules"], rules);
}

#[test]
fn an_empty_map_takes_new_keys() {
    let mut layers = Layers::new(defaults());
    layers.file("c.json", r#"{"gateway":{"rules":{"login":{"rate":1}}}}"#);
    assert_eq!(
        layers.finish().unwrap()["gateway"]["rules"]["login"]["rate"],
        1
    );
}
