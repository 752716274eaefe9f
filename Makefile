# make run    start everything on this machine        make test   all tests, real services, a real browser
# make check  format, lint, types, contracts, deploy   make lock   choose and pin new versions of all packages

PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/installed
DEPLOY := PUBLIC_URL=https://console.example DATABASE_URL=postgresql://nobody@127.0.0.1:1/none REDIS_URL=redis://127.0.0.1:1 \
	SECRET_KEY=only-for-this-check-0123456789-abcdefghijklmnopqrstuvwxyz ENCRYPTION_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

.PHONY: install run test check lock clean

install: $(STAMP)

$(STAMP): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: install python3.11, or say PYTHON=/path/to/it"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $(STAMP)

run: $(STAMP)
	$(BIN)/python manage.py up --demo

test: $(STAMP)
	@sh tests/browser/chromium.sh
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(DEPLOY) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(DEPLOY) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(DEPLOY) $(BIN)/python manage.py check_templates

lock: $(STAMP)
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header \
		--no-emit-trusted-host --extra dev -o requirements.lock pyproject.toml

clean:
	rm -rf .venv
