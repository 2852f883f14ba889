"""What the command line offers: names, options and help of the commands, and nothing of what they do.

Every command imports what it needs when it runs, and only that: help comes without a database driver, and a token
without a web server.
"""
