-- Finds the message that a sender gave this id: how a repeat from before the sequencer's window is recognised. Not
-- unique: the sequencer is the judge of repeats. Built while writes go on; MySQL has no IF NOT EXISTS for an index.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND index_name = 'idx_conv_sender_client');
SET @statement = IF(@wanted,
    'ALTER TABLE messages ADD INDEX idx_conv_sender_client (conversation_id, sender_id, client_msg_id), ALGORITHM = INPLACE, LOCK = NONE',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
