//! SequenceService, IdempotencyService and GenerateSeqID.

use gochat_core::error::ErrorCode;
use gochat_proto::im::repo::v1::IdempotencyState as State;

use crate::call;
use crate::harness::{Repo, code};

#[tokio::test]
async fn numbers_start_above_what_is_stored_and_come_in_blocks() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 5).await;
    let next = |count: i32| {
        let (mut client, chat) = (repo.sequences(), chat.clone());
        async move {
            call!(
                client,
                get_next_seq,
                GetNextSeqRequest {
                    conversation_id: chat,
                    count
                }
            )
        }
    };
    assert_eq!(next(0).await.unwrap().into_inner().seq_id, 6);
    assert_eq!(next(10).await.unwrap().into_inner().seq_id, 7);
    assert_eq!(code(next(1_001).await), ErrorCode::InvalidParams);
    let current = call!(
        repo.sequences(),
        get_current_seq,
        GetCurrentSeqRequest {
            conversation_id: chat.as_str()
        }
    );
    assert_eq!(current.unwrap().into_inner().seq_id, 16);
    let old = call!(
        repo.messages(),
        generate_seq_id,
        GenerateSeqIdRequest {
            conversation_id: chat.as_str()
        }
    );
    assert_eq!(
        old.unwrap().into_inner().seq_id,
        17,
        "the older name counts on"
    );
    let unknown = call!(
        repo.sequences(),
        get_next_seq,
        GetNextSeqRequest {
            conversation_id: "g_9"
        }
    );
    assert_eq!(code(unknown), ErrorCode::ConversationNotFound);
}

#[tokio::test]
async fn a_claim_is_first_once_and_its_end_is_told() {
    let repo = Repo::start().await;
    let claim = |message: &'static str| {
        let mut client = repo.claims();
        async move {
            let claimed = call!(
                client,
                check_or_set,
                CheckOrSetRequest {
                    key: "1:c-1",
                    message_id: message,
                    ttl_seconds: 60
                }
            );
            let claimed = claimed.unwrap().into_inner();
            (claimed.first, claimed.message_id.clone(), claimed.state())
        }
    };
    let done = || async {
        let marked = call!(repo.claims(), mark_done, MarkDoneRequest { key: "1:c-1" });
        marked.unwrap().into_inner().success
    };
    assert!(!done().await, "nothing was claimed");
    assert_eq!(claim("10").await, (true, "10".into(), State::Pending));
    assert_eq!(claim("11").await, (false, "10".into(), State::Pending));
    assert!(done().await);
    assert_eq!(claim("12").await, (false, "10".into(), State::Done));
    let empty = call!(repo.claims(), check_or_set, CheckOrSetRequest { key: "" });
    assert_eq!(code(empty), ErrorCode::InvalidParams);
}
