//! Several callers at once.

use std::sync::Arc;

use gochat_core::error::ErrorCode;
use gochat_infra::rpc::error_from;
use gochat_proto::im::repo::v1::RefreshVerdict;
use gochat_proto::im::repo::v1::{
    BatchSaveMessagesRequest, GetConversationRequest, SetUserOnlineRequest,
    UpdateConversationRequest, UpdateReadPointerRequest,
};

use crate::call;
use crate::harness::{Repo, message};
use crate::sessions::{open, present, session};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pointer_moved_from_many_devices_ends_at_the_furthest_and_never_went_back() {
    let repo = Arc::new(Repo::start().await);
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &bob, 100).await;
    let devices: Vec<_> = (0..4)
        .map(|device| {
            let (repo, ann, chat) = (repo.clone(), ann.clone(), chat.clone());
            tokio::spawn(async move {
                let (mut last, mut moves) = (0, 0);
                for step in 0..20 {
                    let request = UpdateReadPointerRequest {
                        user_id: ann.clone(),
                        conversation_id: chat.clone(),
                        seq_id: (step * 37 + device * 11) % 90 + 1,
                    };
                    let answer = repo
                        .conversations()
                        .update_read_pointer(request)
                        .await
                        .unwrap();
                    let answer = answer.into_inner();
                    assert!(answer.last_read_seq_id >= last, "never back");
                    assert_eq!(answer.unread_count, 100 - answer.last_read_seq_id);
                    assert!(answer.last_read_seq_id >= answer.previous_read_seq_id);
                    last = answer.last_read_seq_id;
                    moves += i32::from(answer.changed);
                }
                moves
            })
        })
        .collect();
    let mut moves = 0;
    for device in devices {
        moves += device.await.unwrap();
    }
    let furthest = (0..4)
        .flat_map(|d| (0..20).map(move |s| (s * 37 + d * 11) % 90 + 1))
        .max();
    let pointer = call!(
        repo.conversations(),
        get_read_pointer,
        GetReadPointerRequest {
            user_id: ann,
            conversation_id: chat
        }
    );
    let pointer = pointer.unwrap().into_inner().pointer.unwrap();
    assert_eq!(Some(pointer.last_read_seq_id), furthest);
    assert!((1..=80).contains(&moves));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_connections_keep_the_limit_and_close_each_socket_once() {
    let repo = Arc::new(Repo::start().await);
    let tasks: Vec<_> = (1..=8)
        .map(|conn_id| {
            let repo = repo.clone();
            tokio::spawn(async move {
                let request = SetUserOnlineRequest {
                    user_id: "1".into(),
                    gateway_id: format!("gw-{}", conn_id % 2),
                    conn_id,
                    max_sessions: 3,
                    ..Default::default()
                };
                repo.online().set_user_online(request).await
            })
        })
        .collect();
    let (mut first, mut registered, mut evicted) = (0, 0, Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            Ok(answer) => {
                let answer = answer.into_inner();
                registered += 1;
                first += i32::from(answer.first_session);
                evicted.extend(answer.evicted.into_iter().map(|e| e.conn_id));
            }
            Err(status) => assert_eq!(error_from(&status).code, ErrorCode::RateLimited),
        }
    }
    assert_eq!(first, 1, "online once");
    let count = evicted.len();
    evicted.sort_unstable();
    evicted.dedup();
    assert_eq!(evicted.len(), count, "nobody is evicted twice");
    assert_eq!(registered - count, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_uses_of_a_refresh_token_get_one_successor() {
    let repo = Arc::new(Repo::start().await);
    let ann = repo.user("ann").await.id;
    open(&repo, session(1, &ann)).await;
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let (repo, ann) = (repo.clone(), ann.clone());
            tokio::spawn(async move { present(&repo, 1, &ann, 1).await })
        })
        .collect();
    let (mut rotated, mut given) = (0, Vec::new());
    for task in tasks {
        let answer = task.await.unwrap();
        rotated += i32::from(answer.verdict() == RefreshVerdict::Rotated);
        given.push((answer.generation, answer.rotated_at_ms));
    }
    assert_eq!(rotated, 1);
    assert!(
        given.iter().all(|to| *to == given[0] && to.0 == 2),
        "{given:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_creators_of_a_name_one_succeeds() {
    let repo = Arc::new(Repo::start().await);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let repo = repo.clone();
            tokio::spawn(async move {
                call!(
                    repo.users(),
                    create_user,
                    CreateUserRequest {
                        username: "ann",
                        password_hash: "x"
                    }
                )
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(status) => assert_eq!(error_from(&status).code, ErrorCode::UserAlreadyExists),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_saved_twice_at_once_store_each_message_once() {
    let repo = Arc::new(Repo::start().await);
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (repo, chat, ann) = (repo.clone(), chat.clone(), ann.clone());
            tokio::spawn(async move {
                let messages = (1..=50).map(|seq| message(&chat, &ann, seq)).collect();
                let request = BatchSaveMessagesRequest { messages };
                let answer = repo.messages().batch_save_messages(request).await.unwrap();
                let answer = answer.into_inner();
                assert_eq!(answer.failed, []);
                (answer.saved_message_ids.len(), answer.duplicates.len())
            })
        })
        .collect();
    let (mut saved, mut duplicates) = (0, 0);
    for task in tasks {
        let (s, d) = task.await.unwrap();
        saved += s;
        duplicates += d;
    }
    assert_eq!((saved, duplicates), (50, 150));
}

/// Readers fill the cache while a writer changes the row: whoever reads after a change was
/// answered sees that change or a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_follows_an_answered_change_never_sees_the_row_before() {
    let repo = Arc::new(Repo::start().await);
    let [ann] = repo.people(["ann"]).await;
    let id = repo.group("0", &[&ann]).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (repo, id, stop) = (repo.clone(), id.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let request = GetConversationRequest {
                        conversation_id: id.clone(),
                        ..Default::default()
                    };
                    repo.conversations()
                        .get_conversation(request)
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for n in 1..=100 {
        let request = UpdateConversationRequest {
            conversation_id: id.clone(),
            name: n.to_string(),
            ..Default::default()
        };
        repo.conversations()
            .update_conversation(request)
            .await
            .unwrap();
        let request = GetConversationRequest {
            conversation_id: id.clone(),
            ..Default::default()
        };
        let read = repo
            .conversations()
            .get_conversation(request)
            .await
            .unwrap();
        assert_eq!(read.into_inner().conversation.unwrap().name, n.to_string());
    }
    stop.cancel();
    for reader in readers {
        reader.await.unwrap();
    }
}
