//! Guards the wire format: what stands in `wire.lock` may grow and must not change.
//!
//! Two releases of GoChat talk to each other during a rolling restart, and records written by an
//! old release are read by a new one. So a field, method or enum value that was ever released
//! keeps its number, type and name.
// Tests may panic: that is how they report.
#![allow(clippy::unwrap_used)]

mod snapshot;

use std::{env, fs, io, path::PathBuf};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use snapshot::Snapshot;

const REFRESH: &str = "UPDATE_WIRE_LOCK=1 cargo test -p gochat-proto";

#[test]
fn the_wire_format_is_the_one_in_the_lock_file() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("wire.lock");
    let locked = match fs::read_to_string(&path) {
        Ok(text) => text.parse::<Snapshot>().unwrap(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Snapshot::default(),
        Err(error) => panic!("{} can't be read: {error}", path.display()),
    };
    let current = current();

    let breaks = locked.broken_by(&current);
    let refresh = is_set("UPDATE_WIRE_LOCK");
    assert!(
        breaks.is_empty() || (refresh && is_set("ALLOW_BREAKING")),
        "the .proto files break the wire format:\n  {}\nKeep numbers, types and names; add a new \
         field instead. If nothing was ever released with the old form, accept the break with \
         `ALLOW_BREAKING=1 {REFRESH}`.",
        breaks.join("\n  "),
    );
    if refresh {
        fs::write(&path, current.to_string()).unwrap();
        return;
    }
    let additions = locked.additions_in(&current);
    assert!(
        additions.is_empty(),
        "proto/wire.lock is out of date (additions only, nothing breaks):\n  {}\nRefresh it with \
         `{REFRESH}` and commit it with the change.",
        additions.join("\n  "),
    );
}

#[test]
fn the_lock_file_reads_back_as_it_was_written() {
    let current = current();
    assert_eq!(current.to_string().parse::<Snapshot>().unwrap(), current);
}

#[test]
fn adding_a_field_or_a_method_breaks_nothing() {
    let old = lock("message a.M\nfield a.M 1 singular string id\nservice a.S\n");
    let new = lock(
        "message a.M\nfield a.M 1 singular string id\nfield a.M 2 singular int64 seq\n\
         service a.S\nmethod a.S Get a.M -> a.M\n",
    );
    assert_eq!(old.broken_by(&new), Vec::<String>::new());
    assert_eq!(old.additions_in(&new).len(), 2);
}

#[test]
fn removing_renumbering_retyping_and_renaming_break() {
    let old = lock("message a.M\nfield a.M 1 singular string id\n");
    for changed in [
        "message a.M\n",
        "message a.M\nfield a.M 2 singular string id\n",
        "message a.M\nfield a.M 1 singular bytes id\n",
        "message a.M\nfield a.M 1 repeated string id\n",
        "message a.M\nfield a.M 1 singular string key\n",
    ] {
        assert_eq!(old.broken_by(&lock(changed)).len(), 1, "{changed}");
    }
}

#[test]
fn changing_a_method_an_enum_value_or_a_reservation_breaks() {
    let old = lock(
        "service a.S\nmethod a.S Get a.In -> a.Out\nenum a.E\nvalue a.E 1 E_ONE\nreserved a.M 5\n",
    );
    let new =
        lock("service a.S\nmethod a.S Get a.In -> stream a.Out\nenum a.E\nvalue a.E 1 E_UNO\n");
    assert_eq!(
        old.broken_by(&new),
        [
            "changed: value a.E 1 E_ONE, now: value a.E 1 E_UNO",
            "removed: reserved a.M 5",
            "changed: method a.S Get a.In -> a.Out, now: method a.S Get a.In -> stream a.Out",
        ]
    );
}

fn current() -> Snapshot {
    Snapshot::of(&FileDescriptorSet::decode(gochat_proto::FILE_DESCRIPTOR_SET).unwrap())
}

fn lock(text: &str) -> Snapshot {
    text.parse().unwrap()
}

fn is_set(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value == "1")
}
