# SPDX-License-Identifier: Apache-2.0
"""The ledger: keys and credits in a database, SQLite or PostgreSQL. Nothing of a picture is ever in it."""
