-- The database of a shop that used WhatsApp before the gateway came: SERIAL ids, naive timestamps, its own casing
-- of statuses, keys inside JSON columns, triggers of its own, and a table of customers.

CREATE TABLE customers (
    id SERIAL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    phone VARCHAR(50),
    whatsapp VARCHAR(50)
);
INSERT INTO customers (name, phone, whatsapp) VALUES
    ('Anna Berg', '+49 151 23456789', '4915123456789'),
    ('Carlos Díaz', '+34600111222', NULL),
    ('Ohne Nummer', NULL, NULL);

CREATE TABLE whatsapp_sessions (
    id SERIAL PRIMARY KEY,
    wasender_session_id INTEGER UNIQUE NOT NULL,
    name VARCHAR(255) NOT NULL,
    phone_number VARCHAR(50) NOT NULL,
    status VARCHAR(50) DEFAULT 'DISCONNECTED',
    account_protection BOOLEAN DEFAULT true,
    log_messages BOOLEAN DEFAULT true,
    webhook_url TEXT,
    webhook_enabled BOOLEAN DEFAULT false,
    webhook_events JSONB,
    api_key TEXT,
    webhook_secret TEXT,
    session_data JSONB,
    user_info JSONB,
    last_connected_at TIMESTAMP,
    created_at TIMESTAMP DEFAULT NOW(),
    updated_at TIMESTAMP DEFAULT NOW()
);
CREATE INDEX idx_whatsapp_sessions_status ON whatsapp_sessions (status);
CREATE INDEX idx_whatsapp_sessions_phone_number ON whatsapp_sessions (phone_number);
CREATE INDEX idx_whatsapp_sessions_wasender_id ON whatsapp_sessions (wasender_session_id);
COMMENT ON TABLE whatsapp_sessions IS 'Our WhatsApp numbers (do not touch)';
COMMENT ON COLUMN whatsapp_sessions.name IS 'Shown in the POS';

CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = NOW();
    RETURN NEW;
END;
$$;
CREATE TRIGGER update_whatsapp_sessions_updated_at
    BEFORE UPDATE ON whatsapp_sessions
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

INSERT INTO whatsapp_sessions (
    wasender_session_id, name, phone_number, status, webhook_url, webhook_enabled, webhook_events, api_key,
    webhook_secret, session_data, user_info, last_connected_at, created_at, updated_at
) VALUES
    (101, 'Laden Mitte', '+4915100000001', 'CONNECTED', 'https://shop.example/webhook.php', true,
        '["messages.received", "session.status"]', 'shop-key-101', 'shop-secret-101',
        '{"id": 101, "api_key": "shop-key-101", "status": "CONNECTED"}', '{"name": "Laden", "id": "4915100000001:3@s.whatsapp.net"}',
        '2025-03-01 09:30:00', '2024-11-05 12:00:00', '2025-03-01 09:30:00.123456'),
    (102, 'Lager', '+4915100000002', 'QR_READY', NULL, false, '[]', 'shop-key-102', NULL,
        '{"id": 102, "api_key": "shop-key-102"}', NULL, NULL, '2024-12-01 08:00:00', '2024-12-01 08:00:00'),
    (103, 'Alt', '+4915100000003', 'DISCONNECTED', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE whatsapp_session_logs (
    id SERIAL PRIMARY KEY,
    session_id INTEGER REFERENCES whatsapp_sessions (id) ON DELETE CASCADE,
    event_type VARCHAR(100) NOT NULL,
    message TEXT,
    metadata JSONB,
    created_at TIMESTAMP DEFAULT NOW()
);
CREATE INDEX idx_whatsapp_session_logs_session_id ON whatsapp_session_logs (session_id);
CREATE INDEX idx_whatsapp_session_logs_created_at ON whatsapp_session_logs (created_at DESC);
INSERT INTO whatsapp_session_logs (session_id, event_type, message, metadata, created_at) VALUES
    (1, 'created', 'Session created', '{"by": "admin"}', '2024-11-05 12:00:00'),
    (1, 'connected', 'Session connected', NULL, '2025-03-01 09:30:00'),
    (2, 'qr_generated', 'QR code generated', '{}', '2024-12-01 08:01:00');

CREATE TABLE whatsapp_incoming_messages (
    id SERIAL PRIMARY KEY,
    message_id VARCHAR(255) UNIQUE NOT NULL,
    from_phone VARCHAR(50) NOT NULL,
    customer_id INTEGER REFERENCES customers (id),
    message_text TEXT,
    message_type VARCHAR(50) DEFAULT 'text',
    media_url TEXT,
    is_read BOOLEAN DEFAULT false,
    replied BOOLEAN DEFAULT false,
    replied_at TIMESTAMP,
    received_at TIMESTAMP DEFAULT NOW(),
    created_at TIMESTAMP DEFAULT NOW(),
    raw_data JSONB
);
INSERT INTO whatsapp_incoming_messages (
    message_id, from_phone, customer_id, message_text, message_type, media_url, is_read, replied, replied_at,
    received_at, created_at, raw_data
) VALUES
    ('3EB0SHOP0001', '+49 151 23456789', 1, 'Ist der Mantel noch da? 🧥', 'text', NULL, true, true,
        '2025-02-28 18:05:00', '2025-02-28 18:00:00', '2025-02-28 18:00:01',
        '{"event": "messages.received", "sessionId": "shop-key-101", "data": {"messages": {"key": {"id": "3EB0SHOP0001"}}}}'),
    ('3EB0SHOP0002', '4915123456789', 1, 'Danke', 'text', NULL, false, false, NULL,
        '2025-02-28 18:06:00', '2025-02-28 18:06:00.5', '{"sessionId": "shop-key-101"}'),
    ('3EB0SHOP0003', '34600111222', 2, NULL, 'image', 'https://media.example/1.jpg', NULL, NULL, NULL,
        '2025-03-01 10:00:00', '2025-03-01 10:00:00', NULL),
    ('3EB0SHOP0004', '447700900123', NULL, 'Hi', NULL, NULL, false, false, NULL, NULL, NULL, '{}');

-- The shop counts messages as they come in.
CREATE TABLE message_counts (phone VARCHAR(50) PRIMARY KEY, count INTEGER NOT NULL);
CREATE FUNCTION count_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO message_counts (phone, count) VALUES (NEW.from_phone, 1)
    ON CONFLICT (phone) DO UPDATE SET count = message_counts.count + 1;
    RETURN NEW;
END;
$$;
CREATE TRIGGER count_message
    AFTER INSERT ON whatsapp_incoming_messages
    FOR EACH ROW EXECUTE FUNCTION count_message();
