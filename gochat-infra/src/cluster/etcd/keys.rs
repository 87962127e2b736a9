//! Where things are.

/// A key that is read to see whether etcd answers. Nobody writes it.
pub(super) const PROBE: &str = "/im-infra/probe";

/// All instances of a service.
pub(super) fn service(name: &str) -> String {
    format!("/services/{name}/")
}

/// One instance.
pub(super) fn instance(name: &str, id: &str) -> String {
    format!("/services/{name}/{id}")
}

/// A lock.
pub(super) fn lock(name: &str) -> String {
    format!("/locks/{name}")
}

/// All instance ids of a service.
pub(super) fn ids(service: &str) -> String {
    format!("/im-infra/allocators/{service}/ids/")
}

/// One instance id.
pub(super) fn id(service: &str, id: u16) -> String {
    format!("/im-infra/allocators/{service}/ids/{id}")
}
