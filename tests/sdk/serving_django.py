"""The URLs of the app that serving.py serves with Django."""

from .serving import django_urls

urlpatterns = django_urls
