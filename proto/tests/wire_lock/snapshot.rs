//! The wire format as sorted lines of text: one line per thing that must not change.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, ServiceDescriptorProto,
};

const HEADER: &str = "\
# The wire format of GoChat: written by a test of gochat-proto, never by hand.
# Lines may be added, never changed or removed. Refresh: UPDATE_WIRE_LOCK=1 cargo test -p gochat-proto
";

/// Everything that both sides of a wire must agree on.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    entries: BTreeMap<Key, String>,
}

/// What a line is about. The order groups the lines of one message, enum or service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Full name of the message, enum or service.
    owner: String,
    kind: Kind,
    /// Number of a field, enum value or reservation; 0 for others.
    number: i32,
    /// Name of a method; empty for others.
    method: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Message,
    Enum,
    Service,
    Field,
    Value,
    Reserved,
    Method,
}

const KINDS: [(Kind, &str); 7] = [
    (Kind::Message, "message"),
    (Kind::Enum, "enum"),
    (Kind::Service, "service"),
    (Kind::Field, "field"),
    (Kind::Value, "value"),
    (Kind::Reserved, "reserved"),
    (Kind::Method, "method"),
];

impl Snapshot {
    /// Takes the snapshot of compiled `.proto` files.
    pub(crate) fn of(set: &FileDescriptorSet) -> Self {
        let mut snapshot = Self::default();
        for file in &set.file {
            for message in &file.message_type {
                snapshot.add_message(file.package(), message);
            }
            for enumeration in &file.enum_type {
                snapshot.add_enum(file.package(), enumeration);
            }
            for service in &file.service {
                snapshot.add_service(file.package(), service);
            }
        }
        snapshot
    }

    /// Lines of `self` that `new` removes or changes: what would break peers and old records.
    pub(crate) fn broken_by(&self, new: &Self) -> Vec<String> {
        let judge = |(key, value): (&Key, &String)| match new.entries.get(key) {
            None => Some(format!("removed: {}", line(key, value))),
            Some(now) if now != value => Some(format!(
                "changed: {}, now: {}",
                line(key, value),
                line(key, now)
            )),
            Some(_) => None,
        };
        self.entries.iter().filter_map(judge).collect()
    }

    /// Lines of `new` that `self` doesn't know.
    pub(crate) fn additions_in(&self, new: &Self) -> Vec<String> {
        let unknown = new
            .entries
            .iter()
            .filter(|(key, _)| !self.entries.contains_key(key));
        unknown.map(|(key, value)| line(key, value)).collect()
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        self.add(Kind::Message, &name, 0, "", String::new());
        for field in &message.field {
            self.add(
                Kind::Field,
                &name,
                field.number(),
                "",
                describe(field, message),
            );
        }
        for range in &message.reserved_range {
            // The end is exclusive for messages and inclusive for enums.
            self.add_reserved(&name, range.start(), range.end() - 1);
        }
        for nested in &message.nested_type {
            self.add_message(&name, nested);
        }
        for nested in &message.enum_type {
            self.add_enum(&name, nested);
        }
    }

    fn add_enum(&mut self, scope: &str, enumeration: &EnumDescriptorProto) {
        let name = format!("{scope}.{}", enumeration.name());
        self.add(Kind::Enum, &name, 0, "", String::new());
        for value in &enumeration.value {
            self.add(
                Kind::Value,
                &name,
                value.number(),
                "",
                value.name().to_owned(),
            );
        }
        for range in &enumeration.reserved_range {
            self.add_reserved(&name, range.start(), range.end());
        }
    }

    fn add_service(&mut self, scope: &str, service: &ServiceDescriptorProto) {
        let name = format!("{scope}.{}", service.name());
        self.add(Kind::Service, &name, 0, "", String::new());
        for method in &service.method {
            self.add(Kind::Method, &name, 0, method.name(), signature(method));
        }
    }

    fn add_reserved(&mut self, owner: &str, first: i32, last: i32) {
        for number in first..=last {
            self.add(Kind::Reserved, owner, number, "", String::new());
        }
    }

    fn add(&mut self, kind: Kind, owner: &str, number: i32, method: &str, value: String) {
        let key = Key {
            owner: owner.to_owned(),
            kind,
            number,
            method: method.to_owned(),
        };
        self.entries.insert(key, value);
    }
}

/// Label, type, name and, for members of a oneof, its name.
fn describe(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated",
        _ if field.proto3_optional() => "optional",
        _ => "singular",
    };
    let ty = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => {
            field.type_name().trim_start_matches('.').to_owned()
        }
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    let name = field.name();
    match field.oneof_index.filter(|_| !field.proto3_optional()) {
        Some(index) => {
            let oneof = message.oneof_decl[index as usize].name();
            format!("{label} {ty} {name} in {oneof}")
        }
        None => format!("{label} {ty} {name}"),
    }
}

/// Request and response of a method.
fn signature(method: &MethodDescriptorProto) -> String {
    let side = |streaming: bool, ty: &str| {
        let stream = if streaming { "stream " } else { "" };
        format!("{stream}{}", ty.trim_start_matches('.'))
    };
    format!(
        "{} -> {}",
        side(method.client_streaming(), method.input_type()),
        side(method.server_streaming(), method.output_type()),
    )
}

fn line(key: &Key, value: &str) -> String {
    let (_, kind) = KINDS
        .iter()
        .find(|(kind, _)| *kind == key.kind)
        .expect("every kind is listed");
    let Key {
        owner,
        number,
        method,
        ..
    } = key;
    match key.kind {
        Kind::Message | Kind::Enum | Kind::Service => format!("{kind} {owner}"),
        Kind::Field | Kind::Value => format!("{kind} {owner} {number} {value}"),
        Kind::Reserved => format!("{kind} {owner} {number}"),
        Kind::Method => format!("{kind} {owner} {method} {value}"),
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        for (key, value) in &self.entries {
            if matches!(key.kind, Kind::Message | Kind::Enum | Kind::Service) {
                writeln!(f)?;
            }
            writeln!(f, "{}", line(key, value))?;
        }
        Ok(())
    }
}

impl FromStr for Snapshot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut snapshot = Self::default();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            snapshot
                .parse_line(line)
                .ok_or_else(|| format!("not a line of a lock file: {line}"))?;
        }
        Ok(snapshot)
    }
}

impl Snapshot {
    fn parse_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.splitn(4, ' ');
        let kind = words.next()?;
        let (kind, _) = KINDS.iter().find(|(_, name)| *name == kind)?;
        let owner = words.next()?;
        let third = words.next();
        let value = words.next().unwrap_or_default().to_owned();
        match kind {
            Kind::Message | Kind::Enum | Kind::Service => self.add(*kind, owner, 0, "", value),
            Kind::Field | Kind::Value | Kind::Reserved => {
                self.add(*kind, owner, third?.parse().ok()?, "", value);
            }
            Kind::Method => self.add(*kind, owner, 0, third?, value),
        }
        Some(())
    }
}
