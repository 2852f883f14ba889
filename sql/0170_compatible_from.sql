-- From which version of the gateway on this schema can be served. Two neighbouring versions run side by side during a
-- rolling upgrade: a migration that the version before cannot live with raises this, and its gateways drain.
INSERT INTO gateway.settings (key, value) VALUES ('compatible_from', '"0.1.0"') ON CONFLICT (key) DO NOTHING;
