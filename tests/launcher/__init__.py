"""The one launcher of gateways: every test and every benchmark that needs one starts it here.

| where | by what | for tests of |
|---|---|---|
| in this process, on a real socket | `running.running(settings_for(dsn, folder, …))` | all that goes in and comes out |
| in a process of its own, over several lives | `child.Child(dsn, folder, …)` | kills, freezes, restarts |
| as a command | `terminal.Terminal(folder).start("serve", …)` | what a person at a terminal sees; workers; the demo |

`settings` holds what they have in common: the secret, limits that no test meets by accident, an upstream that is never
there. A gateway in this process is a `Running`, one that is somewhere else a `Remote`; both are asked in the same way.
Commands and children are forked from a process that has loaded the gateway (`forked`), unless the interpreter itself
has to be told something.
"""
