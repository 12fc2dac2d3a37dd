# make image: the static binary and nothing else.
FROM scratch
COPY bin/fairlead /usr/local/bin/fairlead
USER 65532:65532
EXPOSE 8484 4317 4318
ENTRYPOINT ["/usr/local/bin/fairlead"]
