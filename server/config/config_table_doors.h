/* SPDX-License-Identifier: BSD-3-Clause
 * config_table_doors - the rows of config_table.h that say where clients come in, and who. */
#ifndef FARPAGE_SERVER_CONFIG_TABLE_DOORS_H
#define FARPAGE_SERVER_CONFIG_TABLE_DOORS_H

/* What clients may do. */
#define CONFIG_KEYS_OF_COMMANDS(X)                                                                 \
    X("server.flush_command", KIND_CHOICE, struct config, server.flush_command, "on", 0, 0,        \
      CONFIG_CHOICES("off", "on"), RELOAD,                                                         \
      "Any client may forget all items with the line flush_all; off is memcached's option -F.")    \
    X("server.watch_command", KIND_CHOICE, struct config, server.watch_command, "on", 0, 0,        \
      CONFIG_CHOICES("off", "on"), RELOAD,                                                         \
      "Any client may watch what keys others read, store and delete; off is memcached's -W.")      \
    X("server.dump_commands", KIND_CHOICE, struct config, server.dump_commands, "on", 0, 0,        \
      CONFIG_CHOICES("off", "on"), RELOAD,                                                         \
      "Any client may list all keys (lru_crawler metadump, stats cachedump) and take a snapshot "  \
      "of all that is stored; off is -X.")                                                         \
    X("server.shutdown_command", KIND_CHOICE, struct config, server.shutdown_command, "off", 0, 0, \
      CONFIG_CHOICES("off", "on"), RELOAD,                                                         \
      "Any client may stop the server with the line shutdown; memcached's option -A.")             \
    X("server.restart_file", KIND_PATH, struct config, server.restart_file, "", 0, 0, NULL,        \
      RESTART,                                                                                     \
      "Written when the server is told to stop, and taken up when it starts: clients go on "       \
      "(docs/snapshot.md).")                                                                       \
    X("server.config_command", KIND_CHOICE, struct config, server.config_command, "local", 0, 0,   \
      CONFIG_CHOICES("off", "local", "on"), RELOAD,                                                \
      "Who may change the configuration with config set and config reload: nobody, clients on "    \
      "this machine (a unix socket, loopback), or any.")

#define CONFIG_KEYS_OF_DOORS(X)                                                                    \
    X("listeners[].address", KIND_ADDRESS, struct config_listener, address, "127.0.0.1:11211", 0,  \
      0, NULL, NEEDED,                                                                             \
      "Where to listen; port 0 means any that is free, localhost is 127.0.0.1; systemd:NAME is "   \
      "the socket that a .socket unit hands over with FileDescriptorName=NAME.")                   \
    X("listeners[].protocol", KIND_CHOICE, struct config_listener, protocol, "memcached", 0, 0,    \
      CONFIG_CHOICES("memcached", "nbd", "http"), RESTART,                                         \
      "What is spoken there. memcached: farpage's own frames too. http: /metrics and health, for " \
      "monitors.")                                                                                 \
    X("listeners[].tls", KIND_CHOICE, struct config_listener, tls, "off", 0, 0,                    \
      CONFIG_CHOICES("off", "on"), RESTART,                                                        \
      "Whether clients must speak TLS there: nothing is taken in the clear; see tls below.")       \
    X("listeners[].auth", KIND_CHOICE, struct config_listener, auth, "on", 0, 0,                   \
      CONFIG_CHOICES("off", "on"), RESTART,                                                        \
      "Whether clients authenticate there; off for a unix socket whose mode is enough.")           \
    X("listeners[].reserved", KIND_CHOICE, struct config_listener, reserved, "auto", 0, 0,         \
      CONFIG_CHOICES("auto", "off", "on"), RESTART,                                                \
      "Whether server.reserved_connections are for it; auto: for unix sockets.")                   \
    X("listeners[].insecure", KIND_CHOICE, struct config_listener, insecure, "off", 0, 0,          \
      CONFIG_CHOICES("off", "on"), RESTART,                                                        \
      "On: anybody who reaches the address may use the server, and that is meant. Needed for one " \
      "that is not loopback, without auth.file and without tls.verify_clients: required.")         \
    X("tls.certificate", KIND_PATH, struct config, tls.certificate, "", 0, 0, NULL, RELOAD,        \
      "The server's, in PEM, with what signed it up to the authority. SIGHUP reads it again, "     \
      "and connections that are open stay.")                                                       \
    X("tls.key", KIND_PATH, struct config, tls.key, "", 0, 0, NULL, RELOAD,                        \
      "Its key, in PEM and not encrypted; read again with it.")                                    \
    X("tls.client_ca", KIND_PATH, struct config, tls.client_ca, "", 0, 0, NULL, RELOAD,            \
      "The authorities whose clients are believed, in PEM; read again with the certificate.")      \
    X("tls.verify_clients", KIND_CHOICE, struct config, tls.verify_clients, "off", 0, 0,           \
      CONFIG_CHOICES("off", "optional", "required"), RELOAD,                                       \
      "Whether clients show a certificate: they are not asked, may (no bad one), or must.")        \
    X("tls.minimum_version", KIND_CHOICE, struct config, tls.minimum_version, "1.2", 0, 0,         \
      CONFIG_CHOICES("1.2", "1.3"), RELOAD, "The oldest TLS that is spoken.")                      \
    X("auth.file", KIND_PATH, struct config, auth.file, "", 0, 0, NULL, RELOAD,                    \
      "Lines of user:password or user:sha256:HEX; not readable for everybody. With it clients "    \
      "authenticate before anything else. SIGHUP reads it again.")

#endif
