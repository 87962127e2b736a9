//! Calls within a process, without HTTP between.

use std::sync::Arc;

use gochat_infra::rpc::{Channel, Local, busy};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::{Code, Response, Status};

const PATH: &str = "/a.B/Double";

fn channel() -> Channel {
    let local = Local::default().method(PATH, |number: u32| async move {
        match number {
            0 => Err(Status::invalid_argument("zero")),
            _ => Ok(Response::new(u64::from(number) * 2)),
        }
    });
    Channel::unavailable("far away").with_local(local)
}

async fn call<Q: Send + 'static>(path: &'static str, request: Q) -> Result<u64, Status> {
    let far = |_, _| async { Err(Status::unavailable("far away")) };
    let answer = channel().call(path, request, far).await;
    answer.map(Response::into_inner)
}

#[tokio::test]
async fn a_listed_method_is_called_directly_and_others_are_not() {
    assert_eq!(call(PATH, 21_u32).await.unwrap(), 42);
    assert_eq!(call(PATH, 0_u32).await.unwrap_err().message(), "zero");
    let other = call("/a.B/Triple", 1_u32).await.unwrap_err();
    assert_eq!(other.code(), Code::Unavailable);
    let wrong = call(PATH, "text").await.unwrap_err();
    assert_eq!(wrong.code(), Code::Internal);
}

#[cfg(feature = "grpc")]
#[tokio::test]
async fn a_call_has_the_trace_id_of_the_one_it_belongs_to() {
    use gochat_infra::rpc::trace;
    let local = Local::default().method(PATH, |(): ()| async {
        Ok(Response::new(trace::current().expect("every call has one")))
    });
    let channel = Channel::unavailable("far away").with_local(local);
    let ask = || async {
        let far = |_, ()| async { Err(Status::unavailable("far away")) };
        channel.call(PATH, (), far).await.unwrap().into_inner()
    };
    let made_up: Arc<str> = ask().await;
    assert_eq!(made_up.len(), 32);
    assert_eq!(&*trace::scope("t-1".into(), ask()).await, "t-1");
}

#[test]
fn every_path_of_a_busy_method_is_in_the_contract() {
    let files = FileDescriptorSet::decode(gochat_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut paths = Vec::new();
    for file in &files.file {
        for service in &file.service {
            let (package, name) = (file.package(), service.name());
            let methods = service.method.iter().map(|method| method.name());
            paths.extend(methods.map(|method| format!("/{package}.{name}/{method}")));
        }
    }
    for path in [busy::SAVE_MESSAGES, busy::LIST_ARRIVALS, busy::USERS_ONLINE] {
        assert!(paths.iter().any(|known| known == path), "{path}");
    }
}
