#!/usr/bin/env bash
exec ./manage.py serve
