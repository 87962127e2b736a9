-- Finds the message that a sender gave this id: how a repeat from before the sequencer's window is recognised. Not
-- unique: the sequencer is the judge of repeats.
CREATE INDEX idx_conv_sender_client ON messages (conversation_id, sender_id, client_msg_id)
WHERE client_msg_id IS NOT NULL;
