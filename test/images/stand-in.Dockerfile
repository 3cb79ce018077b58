# hadolint global ignore=DL3006,DL3002
# Stands in for the images of others (Node's, nats-server's, llama.cpp's) where their registries cannot be reached.
FROM scratch
ADD root.tar /
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY nats-server /usr/local/bin/nats-server
COPY site-packages /opt/site-packages
COPY llama_server.py /opt/llama_server.py
COPY model.gguf /opt/model.gguf
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    PYTHONPATH=/opt/site-packages
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
