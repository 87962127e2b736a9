//! Names of the contract and names on the cluster.

use std::borrow::Cow;

use super::KafkaConfig;

/// Translates topic names; without a prefix and other names it copies nothing.
#[derive(Debug, Default)]
pub(super) struct Names {
    prefix: String,
    exact: Vec<(String, String)>,
    families: Vec<(String, String)>,
}

impl Names {
    pub(super) fn new(config: &KafkaConfig) -> Self {
        let pairs = config
            .topic_names
            .iter()
            .map(|(name, wire)| (name.clone(), wire.clone()));
        let (families, exact) = pairs.partition(|(name, _)| name.ends_with('.'));
        Self {
            prefix: config.prefix.clone(),
            exact,
            families,
        }
    }

    /// The topic's name on the cluster.
    pub(super) fn wire<'a>(&'a self, topic: &'a str) -> Cow<'a, str> {
        let renamed = self.renamed(topic);
        if self.prefix.is_empty() {
            return renamed;
        }
        format!("{}{renamed}", self.prefix).into()
    }

    fn renamed<'a>(&'a self, topic: &'a str) -> Cow<'a, str> {
        if let Some((_, wire)) = self.exact.iter().find(|(name, _)| name == topic) {
            return wire.as_str().into();
        }
        for (family, wire) in &self.families {
            if let Some(rest) = topic.strip_prefix(family.as_str()) {
                return format!("{wire}{rest}").into();
            }
        }
        topic.into()
    }

    /// The name in the contract of a topic on the cluster; `None` for a topic of another installation.
    pub(super) fn contract<'a>(&'a self, wire: &'a str) -> Option<Cow<'a, str>> {
        let wire = wire.strip_prefix(self.prefix.as_str())?;
        if let Some((name, _)) = self.exact.iter().find(|(_, renamed)| renamed == wire) {
            return Some(name.as_str().into());
        }
        for (family, renamed) in &self.families {
            if let Some(rest) = wire.strip_prefix(renamed.as_str()) {
                return Some(format!("{family}{rest}").into());
            }
        }
        Some(wire.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_and_families_translate_both_ways() {
        let mut config = KafkaConfig {
            prefix: "a-".into(),
            ..KafkaConfig::default()
        };
        let old = [
            ("gochat.messages.upstream", "im-upstream-topic"),
            ("gochat.messages.downstream.", "im-downstream-topic-"),
        ];
        config.topic_names = old
            .map(|(name, wire)| (name.into(), wire.into()))
            .into_iter()
            .collect();
        let names = Names::new(&config);
        let pairs = [
            ("gochat.messages.upstream", "a-im-upstream-topic"),
            (
                "gochat.messages.downstream.gw-1",
                "a-im-downstream-topic-gw-1",
            ),
            ("gochat.user-events", "a-gochat.user-events"),
        ];
        for (name, wire) in pairs {
            assert_eq!(names.wire(name), wire);
            assert_eq!(names.contract(wire).as_deref(), Some(name));
        }
        assert_eq!(names.contract("b-gochat.user-events"), None);
    }
}
