"""Log-ins, second factors and sessions, as the people meet them."""
