# syntax=docker/dockerfile:1

# ComfyUI publishes no image: this is its released source on PyTorch's own.
ARG PYTORCH_IMAGE=pytorch/pytorch:2.11.0-cuda12.8-cudnn9-runtime

FROM ${PYTORCH_IMAGE} AS source
ARG COMFYUI_VERSION=v0.33.1
ADD https://github.com/Comfy-Org/ComfyUI/archive/refs/tags/${COMFYUI_VERSION}.tar.gz /tmp/comfyui.tar.gz
RUN mkdir /opt/comfyui && tar --extract --gzip --file /tmp/comfyui.tar.gz --strip-components=1 --directory /opt/comfyui

FROM ${PYTORCH_IMAGE}
COPY --from=source /opt/comfyui /opt/comfyui
RUN python -m pip install --no-cache-dir --requirement /opt/comfyui/requirements.txt \
    && python -m compileall -q /opt/comfyui \
    && groupadd --gid 10002 comfyui \
    && useradd --uid 10002 --gid comfyui --no-create-home --home-dir /data --shell /usr/sbin/nologin comfyui \
    && install --directory --owner comfyui --group comfyui /data
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /opt/comfyui
USER 10002:10002
VOLUME /data
EXPOSE 8188
HEALTHCHECK --interval=15s --timeout=5s --start-period=5m --retries=4 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8188/system_stats', timeout=4)"]
ENTRYPOINT ["python", "main.py"]
CMD ["--listen", "0.0.0.0", "--port", "8188", "--base-directory", "/data", "--disable-auto-launch"]
