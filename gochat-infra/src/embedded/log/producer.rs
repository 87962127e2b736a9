//! Writing.

use std::sync::Arc;

use async_trait::async_trait;

use super::shared::{NewRequest, Shared};
use crate::port::mq::{MqResult, OutRecord, Placed, Producer};

/// Handle to write with.
pub(super) struct LogProducer {
    pub(super) shared: Arc<Shared>,
}

#[async_trait]
impl Producer for LogProducer {
    async fn send(&self, records: Vec<OutRecord>) -> MqResult<Vec<Placed>> {
        self.shared.check()?;
        let routed = self.shared.route(records)?;
        let memory = routed.iter().filter(|r| r.partition.is_memory()).count();
        if memory == routed.len() {
            return Ok(Shared::append_memory(routed));
        }
        let request = NewRequest::records(routed);
        self.shared.check_room(request.bytes, false)?;
        if memory == 0 {
            return self.shared.submit(request).await;
        }
        self.send_mixed(request.records).await
    }
}

impl LogProducer {
    /// Disk records through the journal, then the memory records; the places go back in the caller's order.
    async fn send_mixed(&self, records: Vec<super::queue::Routed>) -> MqResult<Vec<Placed>> {
        let is_memory: Vec<bool> = records.iter().map(|r| r.partition.is_memory()).collect();
        let (memory, disk): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|r| r.partition.is_memory());
        let mut disk = self
            .shared
            .submit(NewRequest::records(disk))
            .await?
            .into_iter();
        let mut memory = Shared::append_memory(memory).into_iter();
        Ok(is_memory
            .into_iter()
            .filter_map(|m| if m { memory.next() } else { disk.next() })
            .collect())
    }
}
