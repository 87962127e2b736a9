//! Kafka's errors in the words of the port.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::port::mq::{MqError, MqErrorKind};

/// What a failure means to the caller of the port.
pub(super) fn kind(code: Code) -> MqErrorKind {
    match code {
        // `UnknownPartition` is not among them: librdkafka says so of a partition whose leader it does not know right
        // now. Which partitions a topic has is looked up in the list of topics before.
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownTopicId => {
            MqErrorKind::UnknownTopic
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => MqErrorKind::TooLarge,
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::RebalanceInProgress
        | Code::AssignmentLost
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::Fenced => MqErrorKind::Fenced,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::InvalidTopic
        | Code::InvalidGroupId
        | Code::InvalidArgument
        | Code::InvalidConfig
        | Code::InvalidPartitions
        | Code::InvalidSessionTimeout
        | Code::InvalidTransactionTimeout
        | Code::InvalidReplicationFactor
        | Code::PolicyViolation
        | Code::UnsupportedVersion => MqErrorKind::Invalid,
        _ => MqErrorKind::Unavailable,
    }
}

/// An error of a call; `what` says which.
pub(super) fn from_kafka(what: &str, error: &KafkaError) -> MqError {
    let kind = match error {
        KafkaError::AdminOp(code) => kind(*code),
        KafkaError::ClientConfig(..) | KafkaError::Nul(_) | KafkaError::AdminOpCreation(_) => {
            MqErrorKind::Invalid
        }
        other => other
            .rdkafka_error_code()
            .map_or(MqErrorKind::Unavailable, kind),
    };
    MqError::new(kind, format!("{what}: {error}"))
}

pub(super) fn from_code(what: &str, code: Code) -> MqError {
    MqError::new(kind(code), format!("{what}: {code}"))
}

pub(super) fn fenced() -> MqError {
    MqError::new(
        MqErrorKind::Fenced,
        "the partition belongs to another consumer now",
    )
}

pub(super) fn unavailable(what: &'static str) -> MqError {
    MqError::new(MqErrorKind::Unavailable, what)
}

pub(super) fn invalid(what: &'static str) -> MqError {
    MqError::new(MqErrorKind::Invalid, what)
}
