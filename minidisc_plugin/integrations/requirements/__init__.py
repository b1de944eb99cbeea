"""Which hosts the installed versions can run: rules by package, routes of rules, capabilities of routes."""
