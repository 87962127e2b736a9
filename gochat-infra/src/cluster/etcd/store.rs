//! Requests to etcd: each with a timeout, an error of the catalogue, and the namespace in front of its keys.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, GetOptions, KeyValue, KvClient, LeaseClient, LeaseGrantOptions,
    PutOptions, ResponseHeader, Txn, TxnOp, TxnOpResponse, WatchClient, WatchOptions, WatchStream,
};
use gochat_core::error::{Error, ErrorCode, Result};
use tokio::time::timeout;
use tonic::Code;

use super::EtcdConfig;
use crate::port::coord::Versioned;

/// Largest list of keys taken, in bytes.
const MAX_LIST: usize = 64 << 20;

/// What is stored below a prefix.
pub(super) type Entries = BTreeMap<String, Versioned>;

/// How [`Store::take`] treats a key that is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Take {
    /// Leave it.
    IfFree,
    /// Replace it if it was last changed at this revision.
    Over(i64),
    /// Replace it.
    Always,
}

/// Who has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    /// The lease it hangs on; 0 for none.
    pub(super) lease: i64,
    /// When it was last changed.
    pub(super) revision: i64,
}

/// The answer of [`Store::take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Done,
    /// Somebody has it.
    By(Owner),
}

/// Sends requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Store {
    kv: KvClient,
    lease: LeaseClient,
    watch: WatchClient,
    namespace: Arc<str>,
    timeout: Duration,
    pub(super) registry_grace: Duration,
}

/// Puts a timeout around a request and turns its error into one of the catalogue.
pub(super) async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T> {
    match timeout(limit, request).await {
        Ok(answer) => answer.map_err(translate),
        Err(_) => Err(Error::new(
            ErrorCode::ServiceUnavailable,
            "no answer in time",
        )),
    }
}

fn translate(error: etcd_client::Error) -> Error {
    use etcd_client::Error as Etcd;
    let code = match &error {
        Etcd::InvalidArgs(_) | Etcd::InvalidUri(_) | Etcd::Utf8Error(_) => ErrorCode::InvalidParams,
        Etcd::GRpcStatus(status) => match status.code() {
            Code::InvalidArgument | Code::OutOfRange => ErrorCode::InvalidParams,
            Code::Unauthenticated | Code::PermissionDenied => ErrorCode::Forbidden,
            _ => ErrorCode::ServiceUnavailable,
        },
        _ => ErrorCode::ServiceUnavailable,
    };
    let text = match error {
        Etcd::GRpcStatus(status) => status.message().to_owned(),
        other => other.to_string(),
    };
    Error::new(code, text)
}

fn revision(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, ResponseHeader::revision)
}

fn versioned(kv: &KeyValue) -> Versioned {
    Versioned {
        // A value that is no text still arrives.
        value: String::from_utf8_lossy(kv.value()).into_owned(),
        version: u64::try_from(kv.mod_revision()).unwrap_or_default(),
    }
}

impl Owner {
    pub(super) fn of(kv: &KeyValue) -> Self {
        Self {
            lease: kv.lease(),
            revision: kv.mod_revision(),
        }
    }
}

impl Store {
    pub(super) fn new(client: &Client, config: &EtcdConfig) -> Self {
        Self {
            kv: client.kv_client().max_decoding_message_size(MAX_LIST),
            lease: client.lease_client(),
            watch: client.watch_client().max_decoding_message_size(MAX_LIST),
            namespace: config.namespace.as_str().into(),
            timeout: config.request_timeout(),
            registry_grace: config.registry_grace(),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.namespace)
    }

    /// The key as callers know it, with its value.
    pub(super) fn entry(&self, kv: &KeyValue) -> (String, Versioned) {
        let key = String::from_utf8_lossy(kv.key());
        let known = key.strip_prefix(&*self.namespace).unwrap_or(&key);
        (known.to_owned(), versioned(kv))
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        let (kv, _) = self.look(key).await?;
        Ok(kv.as_ref().map(versioned))
    }

    /// Who has a key, and the revision at which that was so.
    pub(super) async fn owner(&self, key: &str) -> Result<(Option<Owner>, i64)> {
        let (kv, at) = self.look(key).await?;
        Ok((kv.as_ref().map(Owner::of), at))
    }

    async fn look(&self, key: &str) -> Result<(Option<KeyValue>, i64)> {
        let mut kv = self.kv.clone();
        let mut answer = within(self.timeout, kv.get(self.key(key), None)).await?;
        let at = revision(answer.header());
        Ok((answer.take_kvs().pop(), at))
    }

    /// Everything below a prefix, and the revision at which it was so.
    pub(super) async fn list(&self, prefix: &str) -> Result<(Entries, i64)> {
        let mut kv = self.kv.clone();
        let options = GetOptions::new().with_prefix();
        let answer = within(self.timeout, kv.get(self.key(prefix), Some(options))).await?;
        let entries = answer.kvs().iter().map(|kv| self.entry(kv)).collect();
        Ok((entries, revision(answer.header())))
    }

    pub(super) async fn put(&self, key: &str, value: &str) -> Result<u64> {
        let mut kv = self.kv.clone();
        let answer = within(self.timeout, kv.put(self.key(key), value, None)).await?;
        Ok(u64::try_from(revision(answer.header())).unwrap_or_default())
    }

    /// Writes a key that was last changed at `expected`, 0 for one that is not there; `None` when it was not.
    pub(super) async fn put_if(
        &self,
        key: &str,
        value: &str,
        expected: u64,
    ) -> Result<Option<u64>> {
        let key = self.key(key);
        let expected = i64::try_from(expected).unwrap_or(i64::MAX);
        let same = Compare::mod_revision(key.clone(), CompareOp::Equal, expected);
        let txn = Txn::new()
            .when([same])
            .and_then([TxnOp::put(key, value, None)]);
        let mut kv = self.kv.clone();
        let answer = within(self.timeout, kv.txn(txn)).await?;
        let version = u64::try_from(revision(answer.header())).unwrap_or_default();
        Ok(answer.succeeded().then_some(version))
    }

    /// Writes all of these or none of them.
    pub(super) async fn put_all(&self, values: &[(String, String)]) -> Result<()> {
        let puts: Vec<_> = values
            .iter()
            .map(|(key, value)| TxnOp::put(self.key(key), value.as_str(), None))
            .collect();
        let mut kv = self.kv.clone();
        within(self.timeout, kv.txn(Txn::new().and_then(puts))).await?;
        Ok(())
    }

    pub(super) async fn delete(&self, key: &str) -> Result<bool> {
        let mut kv = self.kv.clone();
        let answer = within(self.timeout, kv.delete(self.key(key), None)).await?;
        Ok(answer.deleted() > 0)
    }

    /// Grants a lease under an id of our own, so that asking again after a lost answer does no harm. Answers the TTL,
    /// which etcd may have made longer.
    pub(super) async fn grant(&self, id: i64, ttl: Duration) -> Result<Duration> {
        let seconds = i64::try_from(ttl.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX);
        let options = LeaseGrantOptions::new().with_id(id);
        let mut lease = self.lease.clone();
        match within(self.timeout, lease.grant(seconds.max(1), Some(options))).await {
            Ok(answer) => {
                let given = u64::try_from(answer.ttl()).unwrap_or_default();
                Ok(Duration::from_secs(given).max(ttl))
            }
            Err(error) if error.message.contains("lease already exists") => Ok(ttl),
            Err(error) => Err(error),
        }
    }

    /// Renews a lease; `false` when etcd doesn't have it.
    pub(super) async fn renew(&self, id: i64) -> Result<bool> {
        let mut lease = self.lease.clone();
        // One renewal per stream: there is no stream then that could have died unnoticed.
        match within(self.timeout, lease.keep_alive(id)).await {
            Ok(_) => Ok(true),
            Err(error) if error.message.contains("lease not found") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends a lease; its keys go with it.
    pub(super) async fn revoke(&self, id: i64) -> Result<()> {
        let mut lease = self.lease.clone();
        match within(self.timeout, lease.revoke(id)).await {
            Ok(_) => Ok(()),
            Err(error) if error.message.contains("lease not found") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Hangs a key on a lease. A key that hangs on it already counts as done.
    pub(super) async fn take(
        &self,
        key: &str,
        value: &str,
        lease: i64,
        how: Take,
    ) -> Result<Taken> {
        let key = self.key(key);
        let put = TxnOp::put(
            key.clone(),
            value,
            Some(PutOptions::new().with_lease(lease)),
        );
        let when = match how {
            Take::IfFree => vec![Compare::create_revision(key.clone(), CompareOp::Equal, 0)],
            Take::Over(at) => vec![Compare::mod_revision(key.clone(), CompareOp::Equal, at)],
            Take::Always => Vec::new(),
        };
        let txn = Txn::new()
            .when(when)
            .and_then([put])
            .or_else([TxnOp::get(key, None)]);
        let mut kv = self.kv.clone();
        let answer = within(self.timeout, kv.txn(txn)).await?;
        if answer.succeeded() {
            return Ok(Taken::Done);
        }
        let standing = answer.op_responses().into_iter().find_map(|op| match op {
            TxnOpResponse::Get(mut got) => got.take_kvs().pop(),
            _ => None,
        });
        Ok(match standing.as_ref().map(Owner::of) {
            Some(owner) if owner.lease == lease => Taken::Done,
            Some(owner) => Taken::By(owner),
            // Gone since its revision was read: nobody's.
            None => Taken::By(Owner {
                lease: 0,
                revision: 0,
            }),
        })
    }

    /// Watches one key, or all keys below it, from a revision on.
    pub(super) async fn watch(&self, key: &str, below: bool, from: i64) -> Result<WatchStream> {
        let mut options = WatchOptions::new()
            .with_start_revision(from)
            .with_progress_notify();
        if below {
            options = options.with_prefix();
        }
        let mut watch = self.watch.clone();
        within(self.timeout, watch.watch(self.key(key), Some(options))).await
    }
}
