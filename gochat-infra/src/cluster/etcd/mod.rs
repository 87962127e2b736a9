//! Coordination on etcd.
