DROP INDEX idx_conv_sender_client;
