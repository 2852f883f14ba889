FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY gateway gateway
COPY sql sql
# .git is not here: docker build --build-arg BUILD_COMMIT=$(git rev-parse HEAD)
ARG BUILD_COMMIT=
RUN python -m venv /app && /app/bin/pip install --no-cache-dir .

FROM python:3.13-slim
# A volume takes its owner from here; files of messages stand in /media where several gateways share them.
RUN useradd --system --uid 10001 --home-dir /data --create-home gateway && install --directory --owner gateway /media
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH GATEWAY_HOST=0.0.0.0 GATEWAY_DATA_DIR=/data
USER gateway
VOLUME /data
EXPOSE 8000
# At the port that the gateway listens on, whichever that is.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "gateway.cli.health"]
CMD ["gateway", "serve"]
