"""Everything we can break: processes, databases, networks, clients. What must hold afterwards is in the names."""
