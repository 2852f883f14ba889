FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY sql sql
RUN python -m venv /app && /app/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home gateway
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH GATEWAY_HOST=0.0.0.0 GATEWAY_DATA_DIR=/data
USER gateway
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["gateway", "serve"]
