FROM python:3.11-slim

RUN useradd --system --create-home --home-dir /srv/failover failover
WORKDIR /srv/failover
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY manage.py pyproject.toml ./
COPY failover_console failover_console
COPY nodes nodes
COPY alerts alerts
COPY templates templates
RUN mkdir data && chown failover data
USER failover
ENV DATA_DIR=/srv/failover/data PYTHONUNBUFFERED=1
VOLUME /srv/failover/data
EXPOSE 8000
